/**
 * Benchmarks the creation of pods through a real API server: without a webhook, with one that changes nothing, with
 * Berth from its cache, and with Berth probing a registry for every pod. Each variant has its own namespace, so that
 * they can take turns without a change of the webhook configuration. The pods name a scheduler that does not exist, so
 * they never run.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '../e2e/harness/cluster.ts'
import { startCluster, stopCluster } from '../e2e/harness/cluster-provider.ts'
import { waitFor } from '../e2e/harness/wait.ts'
import { createPods, deletePods } from './lib/bench-pods.ts'
import { createKubeClient, type KubeClient } from './lib/kube-client.ts'
import { figure, median, percentile, ratioByRound, rotated } from './lib/numbers.ts'
import { type BenchRegistry, startRegistry } from './lib/registry.ts'
import { printTable, progress } from './lib/report.ts'
import { applyTo, startBerthWebhook, startBareWebhook, type Webhook } from './lib/webhooks.ts'
import { makeWorkspace, type Workspace } from './lib/workspace.ts'

const concurrency = 8

interface Way {
  readonly name: string
  readonly namespace: string
  /** Null: all pods have the same, cached image. Otherwise each pod has another image, and the registry takes this long. */
  readonly registryMs: number | null
}

const ways: readonly Way[] = [
  { name: 'no webhook', namespace: 'bench-none', registryMs: null },
  { name: 'a webhook that changes nothing', namespace: 'bench-idle', registryMs: null },
  { name: 'a bare one with the same patch', namespace: 'bench-fixed', registryMs: null },
  { name: 'Berth, from cache', namespace: 'bench-berth', registryMs: null },
  { name: 'Berth, registry answers at once', namespace: 'bench-berth', registryMs: 0 },
  { name: 'Berth, registry answers after 20 ms', namespace: 'bench-berth', registryMs: 20 },
  { name: 'Berth, registry answers after 100 ms', namespace: 'bench-berth', registryMs: 100 },
]

/** Pause between two variants, for the queues of the API server and the controllers. */
const pauseMs = 300

export async function benchApiServer(isShort: boolean): Promise<void> {
  // Not the directory of the end-to-end tests, whose cluster may still run.
  process.env['BERTH_E2E_DIR'] ??= '/tmp/berth-bench-cluster'
  const { rounds, pods } = isShort ? { rounds: 3, pods: 200 } : { rounds: 7, pods: 300 }
  const workspace = await makeWorkspace()
  const registry = await startRegistry()
  try {
    const cluster = await startCluster({ owned: true })
    await inCluster(workspace, cluster, { registry, rounds, pods })
  } finally {
    await stopCluster()
    await registry.close()
    workspace.remove()
  }
}

interface Settings {
  readonly registry: BenchRegistry
  readonly rounds: number
  readonly pods: number
}

async function inCluster(
  workspace: Workspace,
  cluster: Cluster,
  settings: Settings,
): Promise<void> {
  const client = await createKubeClient(cluster, concurrency)
  const webhooks: Webhook[] = []
  try {
    await makeNamespaces(cluster)
    webhooks.push(
      await startBerthWebhook(workspace, cluster, settings.registry.url),
      await startBareWebhook(workspace, cluster, { namespace: 'bench-idle', change: 'nothing' }),
      await startBareWebhook(workspace, cluster, {
        namespace: 'bench-fixed',
        change: 'image and annotation',
      }),
    )
    for (const { manifest } of webhooks) await applyTo(cluster, manifest)
    await untilRegistered(client)
    await measure(client, settings)
  } finally {
    client.close()
    await Promise.all(webhooks.map(({ started }) => started.stop()))
  }
}

/** Berth's webhook configuration selects all namespaces except those that opt out. */
async function makeNamespaces(cluster: Cluster): Promise<void> {
  const names = [...new Set(ways.map(({ namespace }) => namespace))]
  const items = names.map((name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name,
      labels: name === 'bench-berth' ? {} : { 'berth.dev/rewrite': 'disabled' },
    },
  }))
  await applyTo(cluster, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
}

/** Creates pods in every namespace until service accounts exist and the webhook configurations are in effect. */
async function untilRegistered(client: KubeClient): Promise<void> {
  for (const { namespace } of ways) {
    await waitFor(`pods in ${namespace}`, async () => {
      await createPods(client, { namespace, count: 1, concurrency: 1, distinct: null })
      return true
    })
    await deletePods(client, namespace)
  }
}

async function measure(client: KubeClient, settings: Settings): Promise<void> {
  const { registry, rounds, pods } = settings
  const rates = new Map<string, number[]>(ways.map(({ name }) => [name, []]))
  const latencies = new Map<string, number[]>(ways.map(({ name }) => [name, []]))
  // The first round warms up the API server, webhooks and client, and is not counted.
  for (let round = 0; round <= rounds; round++) {
    progress(round === 0 ? 'warming up' : `pods, round ${round} of ${rounds}`)
    for (const way of rotated(ways, round)) {
      const index = ways.indexOf(way)
      const { name, namespace, registryMs } = way
      registry.delay(registryMs ?? 0)
      const distinct = registryMs === null ? null : `round-${round}-way-${index}`
      const askedBefore = registry.asked()
      const made = await createPods(client, { namespace, count: pods, concurrency, distinct })
      const asked = registry.asked() - askedBefore
      if (distinct !== null && asked < pods)
        throw new Error(`${name}: ${asked} registry requests for ${pods} pods`)
      await deletePods(client, namespace)
      await sleep(pauseMs)
      if (round === 0) continue
      rates.get(name)?.push(pods / made.seconds)
      latencies.get(name)?.push(...made.latencies)
    }
  }
  const [none = [], idle = [], fixed = []] = [...rates.values()]
  printTable(
    ['way', 'pods/s', '÷ no webhook', '÷ no change', '÷ same patch', 'p50 ms', 'p99 ms'],
    ways.map(({ name }) => {
      const sorted = (latencies.get(name) ?? []).sort((a, b) => a - b)
      const mine = rates.get(name) ?? []
      return [
        name,
        figure(median(mine)),
        ...[none, idle, fixed].map((baseline) => ratioByRound(mine, baseline)),
        figure(percentile(sorted, 0.5)),
        figure(percentile(sorted, 0.99)),
      ]
    }),
  )
}
