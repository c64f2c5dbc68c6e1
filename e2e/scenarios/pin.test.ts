import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Webhook, dryRunPod, startWebhook } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import { pushIndex } from '../harness/images.ts'
import { apply, kubectlOk, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { getPod, podManifest, waitForPodRunning } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** A tag moves: running pods keep their digest, and new pods get the new one. */
const namespace = 'pinned'
let registries: MirrorAndUpstream
let webhook: Webhook
let first: string
let second: string

beforeAll(async () => {
  registries = await startMirrorAndUpstream('pin')
  first = await registries.push(registries.mirror, 'library/app', 'latest', 'pin, first')
  await registries.push(registries.mirror, 'library/app', '1.0', 'released')
  await registries.push(registries.upstream, 'library/upstream', 'latest')
  webhook = await startWebhook({ name: 'pin', config: registries.config, canary: 'app' })
  await kubectlOk(['create', 'namespace', namespace])
})

afterAll(async () => {
  await webhook?.stop()
  await removeNamespaces(namespace)
  await registries?.stop()
})

async function podNames(): Promise<string[]> {
  const names = await kubectlOk([
    'get',
    'pods',
    '-n',
    namespace,
    '-l',
    'app=app',
    '-o',
    'jsonpath={.items[*].metadata.name}',
  ])
  return names.split(' ').filter((name) => name !== '')
}

test('a Deployment with the tag latest runs with a digest and the configured pull policy', async () => {
  await apply({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'app', namespace },
    spec: {
      selector: { matchLabels: { app: 'app' } },
      template: {
        metadata: { labels: { app: 'app' } },
        spec: { containers: [{ name: 'main', image: 'app' }] },
      },
    },
  })
  const [name = ''] = await waitFor('the first pod', async () => {
    const names = await podNames()
    return names.length === 1 && names
  })
  const pod = await waitForPodRunning(name, namespace)

  expect(pod.spec.containers[0]).toMatchObject({
    image: `mirror.example/library/app:latest@${first}`,
    imagePullPolicy: 'IfNotPresent',
  })
  expect(pod.status.containerStatuses?.[0]?.imageID).toContain(first)
})

test('the old pod keeps its digest and a new pod gets the new one after the tag moved', async () => {
  const [old = ''] = await podNames()
  second = await registries.push(registries.mirror, 'library/app', 'latest', 'pin, second')
  // The digest of a tag is cached for half a minute; a reload starts with an empty cache.
  await webhook.reload(`${registries.config}# moved\n`)
  await kubectlOk(['scale', 'deployment', 'app', '-n', namespace, '--replicas=2'])
  const added = await waitFor('the second pod', async () =>
    (await podNames()).find((name) => name !== old),
  )
  const [before, after] = [await getPod(old, namespace), await waitForPodRunning(added, namespace)]

  expect(before.spec.containers[0]?.image).toContain(first)
  expect(before.status.containerStatuses?.[0]?.imageID).toContain(first)
  expect(after.spec.containers[0]?.image).toBe(`mirror.example/library/app:latest@${second}`)
  expect(after.status.containerStatuses?.[0]?.imageID).toContain(second)
})

test('a tag that the config does not pin stays a tag', async () => {
  expect((await dryRunPod('app:1.0', namespace)).spec.containers[0]?.image).toBe(
    'mirror.example/library/app:1.0',
  )
})

test('a multi-platform image is pinned to the digest of its index, and runs', async () => {
  const { digest, manifests } = await pushIndex({
    registry: registries.mirror.url,
    repository: 'library/multi',
    tag: 'latest',
    binary: currentCluster().pauseBinary,
  })
  await apply(podManifest({ name: 'multi', image: 'multi', namespace }))
  const { spec, status } = await waitForPodRunning('multi', namespace)

  expect(spec.containers[0]?.image).toBe(`mirror.example/library/multi:latest@${digest}`)
  expect(Object.values(manifests)).not.toContain(digest)
  expect(status.containerStatuses?.[0]?.imageID).toContain(digest)
})

test('an image that the mirror does not have is pinned upstream and keeps its pull policy', async () => {
  await apply(podManifest({ name: 'upstream', image: 'upstream', namespace }))
  const { spec } = await waitForPodRunning('upstream', namespace)

  expect(spec.containers[0]).toMatchObject({
    image: expect.stringMatching(/^docker\.io\/library\/upstream:latest@sha256:/),
    imagePullPolicy: 'Always',
  })
})
