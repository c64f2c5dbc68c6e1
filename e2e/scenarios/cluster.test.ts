import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { auditEvents } from '../harness/audit-log.ts'
import { currentCluster } from '../harness/cluster.ts'
import { deleteManifest, pushImage, pushIndex } from '../harness/images.ts'
import { apply, create, createPullSecret, remove } from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { podManifest, waitForPullFailure, waitForPodRunning } from '../harness/pods.ts'
import type { Registry } from '../harness/registry.ts'
import { startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'

/** The cluster and the harness without Berth. If a test here fails, fix that first: every other scenario depends on it. */
const cluster = currentCluster()
const account = { username: 'berth', password: 'only for tests' }
const binary = cluster.pauseBinary
let open: Registry
let locked: Registry

beforeAll(async () => {
  open = await startRegistry(cluster, { name: 'cluster-open' })
  locked = await startRegistry(cluster, { name: 'cluster-locked', htpasswd: account })
  for (const host of ['anubis:32000', 'localhost:5000']) setNodeHost(cluster, host, [open.url])
  setNodeHost(cluster, 'private.example', [locked.url])
})

afterAll(async () => {
  const pods = ['named', 'loopback', 'multi', 'gone', 'refused', 'allowed', 'nowhere']
  await Promise.all(pods.map((name) => remove('pod', name)))
  await remove('secret', 'pull')
  for (const host of ['anubis:32000', 'localhost:5000', 'private.example']) {
    removeNodeHost(cluster, host)
  }
  await open.stop()
  await locked.stop()
})

describe('a pod with an image in a registry of the tests', () => {
  test('runs if only hosts.toml knows the registry host', async () => {
    const digest = await pushImage({
      registry: open.url,
      repository: 'hello',
      tag: '1',
      binary,
      marker: 'one',
    })
    await apply(podManifest({ name: 'named', image: 'anubis:32000/hello:1' }))
    const pod = await waitForPodRunning('named')
    expect(pod.status.containerStatuses?.[0]?.imageID).toBe(`anubis:32000/hello@${digest}`)
    const requests = (await open.accessLog()).filter((line) => line.includes('containerd/'))
    expect(requests.join('\n')).toContain('"HEAD /v2/hello/manifests/1?ns=anubis%3A32000 ')
  })

  test('runs from localhost:5000, where nothing listens', async () => {
    await pushImage({ registry: open.url, repository: 'hello', tag: '2', binary, marker: 'two' })
    await apply(podManifest({ name: 'loopback', image: 'localhost:5000/hello:2' }))
    expect((await waitForPodRunning('loopback')).status.phase).toBe('Running')
  })

  test('runs if the image is a multi-platform index', async () => {
    const { digest, manifests } = await pushIndex({
      registry: open.url,
      repository: 'multi',
      tag: '1',
      binary,
    })
    expect(Object.keys(manifests)).toEqual(['linux/amd64', 'linux/arm64'])
    await apply(podManifest({ name: 'multi', image: `${open.host}/multi:1` }))
    const pod = await waitForPodRunning('multi')
    expect(pod.status.containerStatuses?.[0]?.imageID).toBe(`${open.host}/multi@${digest}`)
  })

  test('does not run after the image was deleted', async () => {
    const image = { registry: open.url, repository: 'fleeting' }
    await pushImage({ ...image, tag: '1', binary, marker: 'gone' })
    await deleteManifest(image, '1')
    await apply(podManifest({ name: 'gone', image: 'anubis:32000/fleeting:1' }))
    expect(await waitForPullFailure('gone')).toContain('not found')
  })
})

describe('a pod with an image in a registry with a password', () => {
  beforeAll(async () => {
    const image = { registry: locked.url, repository: 'secret', tag: '1', auth: account }
    await pushImage({ ...image, binary, marker: 'locked' })
  })

  test('cannot pull without a pull secret', async () => {
    await apply(podManifest({ name: 'refused', image: 'private.example/secret:1' }))
    expect(await waitForPullFailure('refused')).toMatch(/authoriz|authentic/)
  })

  test('runs with a pull secret', async () => {
    await createPullSecret('pull', { server: 'private.example', account })
    const image = 'private.example/secret:1'
    await apply(podManifest({ name: 'allowed', image, pullSecret: 'pull' }))
    expect((await waitForPodRunning('allowed')).status.phase).toBe('Running')
  })
})

test('a pod cannot pull from any other registry', async () => {
  await apply(podManifest({ name: 'nowhere', image: 'registry.example/library/busybox:1' }))
  expect(await waitForPullFailure('nowhere')).toContain('127.0.0.1:1')
})

test('the audit log contains the bodies of pod requests', async () => {
  const { code } = await create(podManifest({ name: 'Not_A_Name', image: 'anubis:32000/hello:1' }))
  expect(code).toBe(1)
  const event = await waitFor('the audit event', () =>
    auditEvents(({ verb, objectRef }) => verb === 'create' && objectRef?.name === 'Not_A_Name').at(
      0,
    ),
  )
  expect(event).toMatchObject({
    stage: 'ResponseComplete',
    responseStatus: { code: 422 },
    requestObject: { spec: { containers: [{ image: 'anubis:32000/hello:1' }] } },
  })
})
