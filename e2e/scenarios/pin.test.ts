import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Webhook, dryRunPod, startWebhook } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import { pushIndex } from '../harness/images.ts'
import { apply, getJson, kubectlOk, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { type Pod, podManifest, waitForPodRunning } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** Tags move: the pods of a revision keep one digest, and the next revision gets the new one. */
const namespace = 'pinned'
let registries: MirrorAndUpstream
let webhook: Webhook
let first: string

beforeAll(async () => {
  registries = await startMirrorAndUpstream('pin')
  first = await registries.push(registries.mirror, 'library/app', 'latest', 'pin, first')
  await registries.push(registries.mirror, 'library/app', '1.0', 'released')
  await registries.push(registries.upstream, 'library/upstream', 'latest')
  webhook = await startWebhook({
    name: 'pin',
    config: registries.config,
    canary: 'app',
    replicas: 2,
  })
  await kubectlOk(['create', 'namespace', namespace])
})

afterAll(async () => {
  await webhook?.stop()
  await removeNamespaces(namespace)
  await registries?.stop()
})

type PodList = {
  items: (Pod & { metadata: { deletionTimestamp?: string } })[]
}

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

describe('the pods of one revision', () => {
  const apps = ['deployment', 'statefulset', 'job', 'daemonset']
  const nodes = ['pin-a', 'pin-b']
  const digests = new Map<string, string[]>()
  let moves = 0
  let newest: string

  /** Pushes another image with the same tag. A replica remembers a tag of the upstream for longer than one of a mirror. */
  async function moveTag(): Promise<void> {
    moves += 1
    const { upstream } = registries
    newest = await registries.push(upstream, 'library/moves', 'latest', `pin, move ${moves}`)
  }

  /** Makes both replicas of the webhook forget the digest of the tag. */
  const forgetTag = () => webhook.reload(`${registries.config}# move ${moves}\n`)

  /** Returns the digest that the next replica of the webhook gives to a pod without a controller. */
  async function nextDigest(): Promise<string> {
    return (await dryRunPod('moves', namespace)).spec.containers[0]?.image.split('@')[1] ?? ''
  }

  /** The digests of the pods that are not being deleted. */
  async function waitForDigests(app: string, count: number): Promise<string[]> {
    const images = await waitFor(`${count} pods of ${app}`, async () => {
      const { items } = await getJson<PodList>('pods', `--selector=app=${app}`, namespace)
      const pods = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      return pods.length === count && pods.map(({ spec }) => spec.containers[0]?.image ?? '')
    })
    return [...new Set(images.map((image) => image.split('@')[1] ?? 'no digest'))]
  }

  function workload(kind: string, spec: object): object {
    const app = kind.toLowerCase()
    const apiVersion = kind === 'Job' ? 'batch/v1' : 'apps/v1'
    const isRun = kind === 'Deployment'
    const template = {
      metadata: { labels: { app } },
      spec: {
        containers: [{ name: 'main', image: 'moves' }],
        terminationGracePeriodSeconds: 1,
        ...(kind === 'Job' ? { restartPolicy: 'Never' } : {}),
        // The others need no node: a pod is decided when it is created.
        ...(isRun ? {} : { schedulerName: 'none' }),
      },
    }
    const selector = kind === 'Job' ? {} : { selector: { matchLabels: { app } } }
    const metadata = { name: app, namespace }
    return { apiVersion, kind, metadata, spec: { ...selector, ...spec, template } }
  }

  afterAll(() => kubectlOk(['delete', 'node', '--ignore-not-found', ...nodes]))

  test('have one digest although two replicas of the webhook know different ones', async () => {
    await moveTag()
    const first = await nextDigest()
    await moveTag()
    // The other replica has not asked the registry yet.
    await waitFor('the other replica', async () => (await nextDigest()) === newest)
    await waitFor('the first replica', async () => (await nextDigest()) === first)
    await apply([
      workload('Deployment', { replicas: 4 }),
      workload('StatefulSet', { replicas: 4, serviceName: 'x', podManagementPolicy: 'Parallel' }),
      workload('Job', { parallelism: 4 }),
      workload('DaemonSet', {}),
    ])
    for (const app of apps)
      digests.set(
        app,
        await waitForDigests(app, app === 'daemonset' ? currentCluster().nodes.length : 4),
      )

    expect([...digests.values()].map(({ length }) => length)).toEqual([1, 1, 1, 1])
  })

  test('have this digest when they are scaled up after the tag has moved', async () => {
    for (const count of [7, 10]) {
      await moveTag()
      await forgetTag()
      const target = ['deployment/deployment', 'statefulset/statefulset', '-n', namespace]
      await kubectlOk(['scale', ...target, `--replicas=${count}`])
      const parallelism = JSON.stringify({ spec: { parallelism: count } })
      await kubectlOk(['patch', 'job', 'job', '-n', namespace, '-p', parallelism])
      await waitForDigests('deployment', count)
    }
    for (const name of nodes) await apply({ apiVersion: 'v1', kind: 'Node', metadata: { name } })
    for (const app of apps) {
      const count = app === 'daemonset' ? currentCluster().nodes.length + nodes.length : 10
      expect([app, await waitForDigests(app, count)]).toEqual([app, digests.get(app)])
    }
    expect(await webhook.metrics()).toMatch(/berth_revision_lookups_total{result="list"} [1-9]/)
  })

  test('have the new digest after a rollout, and keep it when the Deployment is scaled up', async () => {
    const rolledOut = newest
    await kubectlOk(['rollout', 'restart', 'deployment/deployment', '-n', namespace])
    await kubectlOk(['rollout', 'status', 'deployment/deployment', '-n', namespace])
    expect(await waitForDigests('deployment', 10)).toEqual([rolledOut])

    await moveTag()
    await forgetTag()
    await kubectlOk(['scale', 'deployment/deployment', '-n', namespace, '--replicas=20'])
    expect(await waitForDigests('deployment', 20)).toEqual([rolledOut])
  })
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
