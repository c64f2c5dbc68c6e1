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
import { createPods, type Created, deletePods } from './lib/bench-pods.ts'
import { createKubeClient, type KubeClient } from './lib/kube-client.ts'
import { figure, median, percentile, rotated } from './lib/numbers.ts'
import { type BenchRegistry, startRegistry } from './lib/registry.ts'
import type { BenchOutcome, Comparison } from './lib/outcome.ts'
import { print, printTable, progress } from './lib/report.ts'
import { ratioText } from './lib/results.ts'
import { estimateMedian } from './lib/statistics.ts'
import { applyTo, startBerthWebhook, startBareWebhook, type Webhook } from './lib/webhooks.ts'
import { makeWorkspace, type Workspace } from './lib/workspace.ts'

const concurrency = 8

/** Connections of the client. At a steady rate, more pods can be in flight than `concurrency`. */
const maxConnections = 64

const pacedRate = 50

interface Way {
  readonly name: string
  readonly namespace: string
  /** Null: all pods have the same, cached image. Otherwise each pod has another image, and the registry takes this long. */
  readonly registryMs: number | null
  /** Null: as fast as possible, eight at a time. */
  readonly perSecond: number | null
}

const none: Way = { name: 'no webhook', namespace: 'bench-none', registryMs: null, perSecond: null }
const idle: Way = { ...none, name: 'a webhook that changes nothing', namespace: 'bench-idle' }
const fixed: Way = { ...none, name: 'a bare one with the same patch', namespace: 'bench-fixed' }
const cached: Way = { ...none, name: 'Berth, from cache', namespace: 'bench-berth' }
const registryWays = [
  { ...cached, name: 'Berth, registry answers at once', registryMs: 0 },
  { ...cached, name: 'Berth, registry answers after 20 ms', registryMs: 20 },
  { ...cached, name: 'Berth, registry answers after 100 ms', registryMs: 100 },
]
const pacedCached: Way = { ...cached, name: 'one cached image', perSecond: pacedRate }
const pacedNew: Way = {
  ...cached,
  name: 'new images, registry answers after 20 ms',
  registryMs: 20,
  perSecond: pacedRate,
}

const fastWays: readonly Way[] = [none, idle, fixed, cached, ...registryWays]
const ways: readonly Way[] = [...fastWays, pacedCached, pacedNew]

/** Pause between two variants, for the queues of the API server and the controllers. */
const pauseMs = 300

/** Has no noise gate: the cluster itself uses the processor between the rounds. */
export async function benchApiServer(isShort: boolean): Promise<BenchOutcome> {
  // Not the directory of the end-to-end tests, whose cluster may still run.
  process.env['BERTH_E2E_DIR'] ??= '/tmp/berth-bench-cluster'
  const { rounds, pods } = isShort ? { rounds: 4, pods: 120 } : { rounds: 7, pods: 300 }
  const workspace = await makeWorkspace()
  const registry = await startRegistry()
  try {
    const cluster = await startCluster({ owned: true })
    const comparisons = await inCluster(workspace, cluster, { registry, rounds, pods })
    return { noise: null, comparisons }
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
): Promise<readonly Comparison[]> {
  const client = await createKubeClient(cluster, maxConnections)
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
    return await measure(client, settings)
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
  for (const namespace of new Set(ways.map((way) => way.namespace))) {
    await waitFor(`pods in ${namespace}`, async () => {
      await createPods(client, {
        namespace,
        count: 1,
        concurrency: 1,
        perSecond: null,
        distinct: null,
      })
      return true
    })
    await deletePods(client, namespace)
  }
}

/** What each round measured of one way. */
interface Measured {
  readonly rates: number[]
  readonly p50s: number[]
  readonly p99s: number[]
}

async function measure(client: KubeClient, settings: Settings): Promise<readonly Comparison[]> {
  const { rounds } = settings
  const measured = new Map(
    ways.map((way): [Way, Measured] => [way, { rates: [], p50s: [], p99s: [] }]),
  )
  // The first round warms up the API server, webhooks and client, and is not counted.
  for (let round = 0; round <= rounds; round++) {
    progress(round === 0 ? 'warming up' : `pods, round ${round} of ${rounds}`)
    for (const way of rotated(ways, round)) {
      const { seconds, latencies } = await measureOnce(client, way, { ...settings, round })
      if (round === 0) continue
      const { rates, p50s, p99s } = measured.get(way) ?? { rates: [], p50s: [], p99s: [] }
      const sorted = [...latencies].sort((one, other) => one - other)
      rates.push(latencies.length / seconds)
      p50s.push(percentile(sorted, 0.5))
      p99s.push(percentile(sorted, 0.99))
    }
  }
  printPods(measured)
  return compare(measured)
}

async function measureOnce(
  client: KubeClient,
  way: Way,
  { registry, pods, round }: Settings & { readonly round: number },
): Promise<Created> {
  const { name, namespace, registryMs, perSecond } = way
  registry.delay(registryMs ?? 0)
  const distinct = registryMs === null ? null : `round-${round}-way-${ways.indexOf(way)}`
  const askedBefore = registry.asked()
  const batch = { namespace, count: pods, concurrency, perSecond, distinct }
  const created = await createPods(client, batch)
  const asked = registry.asked() - askedBefore
  if (distinct !== null && asked < pods)
    throw new Error(`${name}: ${asked} registry requests for ${pods} pods`)
  await deletePods(client, namespace)
  await sleep(pauseMs)
  return created
}

function printPods(measured: ReadonlyMap<Way, Measured>): void {
  const of = (way: Way) => measured.get(way) ?? { rates: [], p50s: [], p99s: [] }
  print('## As fast as possible\n')
  printTable(
    [
      'way',
      'pods/s',
      '÷ no webhook',
      '÷ no change',
      '÷ same patch',
      'p50 ms',
      'p99 ms',
      'p99 ÷ same patch',
    ],
    fastWays.map((way) => {
      const { rates, p50s, p99s } = of(way)
      return [
        way.name,
        figure(median(rates)),
        ...[none, idle, fixed].map((baseline) => ratioText(rates, of(baseline).rates)),
        figure(median(p50s)),
        figure(median(p99s)),
        ratioText(p99s, of(fixed).p99s),
      ]
    }),
  )
  print(`## ${pacedRate} pods a second\n`)
  printTable(
    ['Berth', 'p50 ms', 'longer than with the cached image', 'p99 ms', 'longer'],
    [pacedCached, pacedNew].map((way) => [
      way.name,
      ...(['p50s', 'p99s'] as const).flatMap((field) => [
        figure(median(of(way)[field])),
        differenceText(of(way)[field], of(pacedCached)[field]),
      ]),
    ]),
  )
}

/** The median difference of the rounds in milliseconds, with its interval. */
function differenceText(values: readonly number[], baselines: readonly number[]): string {
  const differences = values.map((value, round) => value - (baselines[round] ?? NaN))
  const { value, low, high } = estimateMedian(differences)
  return `${value.toFixed(1)} ms (${low.toFixed(1)}–${high.toFixed(1)})`
}

function compare(measured: ReadonlyMap<Way, Measured>): readonly Comparison[] {
  const compared = (way: Way, baseline: Way, field: keyof Measured, better: 'less' | 'more') => ({
    name: `${way.name}, ${names[field]}`,
    baseline: baseline.name,
    better,
    values: measured.get(way)?.[field] ?? [],
    baselineValues: measured.get(baseline)?.[field] ?? [],
  })
  return [
    ...[none, idle, fixed].map((baseline) => compared(cached, baseline, 'rates', 'more')),
    compared(cached, fixed, 'p99s', 'less'),
    compared(pacedNew, pacedCached, 'p50s', 'less'),
  ]
}

const names = { rates: 'pods/s', p50s: 'p50', p99s: 'p99' } as const
