import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest'
import { currentCluster } from '../harness/cluster.ts'
import { applyKustomization, waitForRollout } from '../harness/install.ts'
import { killNode, startNode } from '../harness/kind-cluster.ts'
import { getJson, kubectl, kubectlOk } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { note } from '../harness/note.ts'
import { namespace, writeOverlay } from '../harness/overlay.ts'
import { startPodStream } from '../harness/pod-stream.ts'
import { log } from '../harness/log.ts'
import { waitFor } from '../harness/wait.ts'
import { waitUntilRewritten } from '../harness/webhook.ts'

/** The manifests as they are, on two nodes, one of which is drained and then lost. Needs kind. */
const cluster = currentCluster()
const [, worker] = cluster.nodes
const lost = worker?.name ?? ''
if (worker === undefined) log('skipping the tests with two nodes: this cluster has one; use kind')
let registries: MirrorAndUpstream
let overlay: string

async function install(base: string): Promise<void> {
  const files = { 'berth.yaml': registries.config }
  overlay = writeOverlay('two-nodes', { base, files })
  await applyKustomization(overlay)
  await waitForRollout()
  await waitUntilRewritten('app:1')
}

beforeAll(async () => {
  registries = await startMirrorAndUpstream('two-nodes', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', '1')
  await install('deploy/base')
})

afterAll(async () => {
  await startNode(lost)
  await kubectlOk(['uncordon', lost])
  await waitForNode('True')
  await kubectlOk(['delete', '-k', overlay, '--ignore-not-found'])
  await registries?.stop()
})

type Endpoint = {
  conditions: { ready: boolean }
  nodeName: string
  targetRef: { name: string }
}

type Budget = { status: { currentHealthy: number; disruptionsAllowed: number } } & object

async function waitForNode(ready: 'True' | 'Unknown'): Promise<void> {
  const status = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
  await waitFor(
    `node ${lost} to have the status ${ready}`,
    async () => (await kubectlOk(['get', 'node', lost, '-o', status])) === ready,
    { timeoutMs: 300_000 },
  )
}

/** Returns the ready replicas that the Service has. */
async function readyEndpoints(): Promise<Endpoint[]> {
  const selector = ['-l', 'kubernetes.io/service-name=berth-webhook']
  const { items } = JSON.parse(
    await kubectlOk(['get', 'endpointslices', '-n', namespace, ...selector, '-o', 'json']),
  ) as { items: { endpoints: Endpoint[] | null }[] }
  return items
    .flatMap((slice) => slice.endpoints ?? [])
    .filter(({ conditions }) => conditions.ready)
}

type Replica = {
  metadata: { name: string; deletionTimestamp?: string }
  spec: { nodeName: string }
  status: { podIP: string }
}

/** Returns the replicas that are not terminating. */
async function replicas(): Promise<Replica[]> {
  const selector = 'app.kubernetes.io/name=berth,app.kubernetes.io/component=webhook'
  const { items } = JSON.parse(
    await kubectlOk(['get', 'pods', '-n', namespace, '-l', selector, '-o', 'json']),
  ) as { items: Replica[] }
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
}

async function nodesOfReplicas(): Promise<string[]> {
  return (await replicas()).map(({ spec }) => spec.nodeName).sort()
}

/**
 * Deletes the replicas on the other node. The API server then opens its connections to those on the node that will be lost, and
 * keeps them: otherwise, it might not notice the loss.
 */
async function useReplicasOfLostNode(): Promise<void> {
  const others = (await replicas()).filter(({ spec }) => spec.nodeName !== lost)
  const names = others.map(({ metadata }) => metadata.name)
  await kubectlOk(['delete', 'pods', '-n', namespace, ...names])
  await waitForRollout()
}

/** Starts a stream of pods, and counts those that keep their image. */
async function startStream() {
  let unchanged = 0
  const stream = await startPodStream(['docker.io/library/app:1'], {
    perSecond: 10,
    onCreated: ({ spec }) => {
      if (spec.containers[0]?.image !== 'mirror.example/library/app:1') unchanged += 1
    },
  })
  const takeUnchanged = () => {
    const taken = unchanged
    unchanged = 0
    return taken
  }
  return { ...stream, takeUnchanged }
}

describe.skipIf(worker === undefined)('an installation on two nodes', () => {
  test('runs its two replicas on different nodes', async () => {
    expect(await nodesOfReplicas()).toEqual(cluster.nodes.map(({ name }) => name).sort())
  })

  test('rejects no pod and leaves none unchanged while a node is drained', async (context) => {
    const stream = await startStream()
    await stream.waitForPods(20)
    await kubectlOk([
      'drain',
      lost,
      '--ignore-daemonsets',
      '--delete-emptydir-data',
      '--force',
      '--timeout=300s',
    ])
    await waitForRollout()
    await stream.waitForPods(20)
    const { created, failures } = await stream.stop()
    const unchanged = stream.takeUnchanged()
    note(context, `${created} pods created, ${failures.length} rejected, ${unchanged} unchanged`)

    expect(failures).toEqual([])
    expect(unchanged).toBe(0)
    expect(await nodesOfReplicas()).not.toContain(lost)
  })

  test('spreads the replicas again after the node is back', async () => {
    await kubectlOk(['uncordon', lost])
    await kubectlOk(['rollout', 'restart', 'deployment/berth-webhook', '-n', namespace])
    await waitForRollout()

    expect(await nodesOfReplicas()).toEqual(cluster.nodes.map(({ name }) => name).sort())
  })
})

/** Returns how many reviews the replicas on the node that will be lost have answered. */
async function reviewsOnLostNode(): Promise<number> {
  const metrics = await Promise.all(
    (await replicas())
      .filter(({ spec }) => spec.nodeName === lost)
      .map(async ({ status }) => (await fetch(`http://${status.podIP}:8080/metrics`)).text()),
  )
  const counts = metrics.flatMap((text) => [
    ...text.matchAll(/^berth_admissions_total\{.*\} (\d+)$/gm),
  ])
  return counts.reduce((sum, [, count]) => sum + Number(count), 0)
}

/** Kills the node under a stream of pods, and returns what happened until the cluster has noticed, and after that. */
async function loseNode(context: TestContext) {
  const stream = await startStream()
  await stream.waitForPods(20)
  await useReplicasOfLostNode()
  const reviews = await reviewsOnLostNode()
  await stream.waitForPods(50)
  const newReviews = (await reviewsOnLostNode()) - reviews
  const before = stream.takeCount()
  const unchangedBefore = stream.takeUnchanged()
  const killedAt = performance.now()
  await killNode(lost)
  await waitForNode('Unknown')
  await waitFor('the Service to have no replica on the lost node', async () => {
    const nodes = (await readyEndpoints()).map(({ nodeName }) => nodeName)
    return nodes.length > 0 && !nodes.includes(lost)
  })
  const seconds = ((performance.now() - killedAt) / 1_000).toFixed(0)
  // Reviews that were sent to a lost replica before end within the timeout of the webhook.
  let disturbed = 0
  const during = stream.takeCount()
  await waitFor('the last review of a lost replica', async () => {
    disturbed += stream.takeUnchanged()
    await stream.waitForPods(50)
    const { created, failures } = stream.takeCount()
    during.created += created
    during.failures.push(...failures)
    const unchanged = stream.takeUnchanged()
    disturbed += unchanged
    return unchanged === 0 && failures.length === 0
  })
  await stream.waitForPods(100)
  const after = await stream.stop()
  note(
    context,
    `${newReviews} reviews on the lost node before; the cluster noticed after ${seconds} s; until then ${during.created} pods created, ${during.failures.length} rejected, ` +
      `${disturbed} unchanged, slowest ${(during.longestMs / 1_000).toFixed(1)} s; after that ${after.created} created, ` +
      `${after.failures.length} rejected`,
  )
  expect(newReviews).toBeGreaterThan(0)
  expect(before.failures).toEqual([])
  expect(unchangedBefore).toBe(0)
  expect(after.failures).toEqual([])
  expect(stream.takeUnchanged()).toBe(0)
  return { during, unchanged: disturbed }
}

/** Starts the lost node under a stream of pods, and waits for the replicas on it. */
async function recoverNode(context: TestContext): Promise<void> {
  const stream = await startStream()
  await startNode(lost)
  await waitForNode('True')
  await waitForRollout()
  await waitFor('a replica on the node', async () =>
    (await readyEndpoints()).some(({ nodeName }) => nodeName === lost),
  )
  await stream.waitForPods(50)
  const { created, failures } = await stream.stop()
  note(context, `${created} pods created, ${failures.length} rejected`)

  expect(failures).toEqual([])
}

describe.skipIf(worker === undefined)('an installation that loses a node', () => {
  test('rejects no pod if a node is lost, and rewrites all of them when the cluster has noticed', async (context) => {
    const { during } = await loseNode(context)

    expect(during.failures).toEqual([])
  })

  test('keeps its last replica: the budget refuses an eviction', async () => {
    const [last] = await readyEndpoints()
    const name = last?.targetRef.name
    const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } }
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`
    const { code, stderr } = await kubectl(['create', '--raw', path, '-f', '-'], {
      input: JSON.stringify(eviction),
    })
    const { status } = await getJson<Budget>('poddisruptionbudget', 'berth-webhook', namespace)

    expect(code).toBe(1)
    expect(stderr).toContain("violate the pod's disruption budget")
    expect(status).toMatchObject({ currentHealthy: 1, disruptionsAllowed: 0 })
  })

  test('has two replicas again when the node is back', recoverNode)
})

describe.skipIf(worker === undefined)('an installation with Fail that loses a node', () => {
  beforeAll(() => install('deploy/overlays/fail-closed'))

  test('leaves no pod unchanged, and rejects none when the cluster has noticed', async (context) => {
    const { unchanged } = await loseNode(context)

    expect(unchanged).toBe(0)
  })

  test('rejects no pod while the node comes back', recoverNode)
})
