/**
 * Reads what the processes of Berth have counted over the last hours, through the API server and with the rights of the user, and
 * adds it up.
 */
import { BerthError } from '../errors.ts'
import { isObject, member, objectsMember, textMember } from '../json/json.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { KubeObject } from '../kube/object.ts'
import { historyStepMs, type MetricsHistory } from '../telemetry/metrics-history.ts'
import { cutText } from '../text/cut-text.ts'
import type { Trend, TrendPoint, TrendProcess } from './wire.ts'

/** Processes that are read. An installation has four, and the autoscaler adds four. */
const maxProcesses = 16

/** Bytes of the list of pods, and of an answer, which has about 10 kB. */
const maxListBytes = 4 * 1024 * 1024
const maxHistoryBytes = 256 * 1024

/** Samples that are read of one answer; Berth sends 145. */
const maxSamples = 1_000

const timeoutMs = 5_000

/** The port of metrics that `deploy/` sets. */
const defaultPort = 8080

export interface TrendOptions {
  readonly api: KubeApi
  /** The namespace that Berth runs in. */
  readonly namespace: string
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** Problems of the cluster are part of the result. */
export async function readTrend({ api, namespace, now }: TrendOptions): Promise<Trend> {
  const common = { namespace, stepMs: historyStepMs }
  let pods: readonly KubeObject[]
  try {
    pods = await listProcesses(api, namespace)
  } catch (error) {
    return { ...common, problem: reasonOf(error), processes: [], points: [] }
  }
  const read = await Promise.all(
    pods.map(async (pod): Promise<{ process: TrendProcess; history: MetricsHistory | null }> => {
      const { name } = pod.metadata
      try {
        const history = await readHistory(api, namespace, pod)
        const since = history?.startedAt ?? null
        const problem = history === null ? 'this version of Berth keeps no history' : null
        return { process: { name, since, problem }, history }
      } catch (error) {
        return { process: { name, since: null, problem: reasonOf(error) }, history: null }
      }
    }),
  )
  const histories = read.flatMap(({ history }) => history ?? [])
  return {
    ...common,
    problem: null,
    processes: read.map(({ process }) => process),
    points: addUp(histories, now()),
  }
}

async function listProcesses(api: KubeApi, namespace: string): Promise<readonly KubeObject[]> {
  const ref = { apiVersion: 'v1', resource: 'pods', namespace }
  const selection = {
    labelSelector: 'app.kubernetes.io/name=berth',
    // A pod of `helm test` or of a Job has no metrics.
    fieldSelector: 'status.phase=Running',
    page: { limit: maxProcesses, maxBytes: maxListBytes },
  }
  const pods: KubeObject[] = []
  const signal = AbortSignal.timeout(timeoutMs)
  for await (const pod of api.list<KubeObject>(ref, selection, signal)) pods.push(pod)
  return pods.slice(0, maxProcesses)
}

/** Returns null for an answer of another shape. */
async function readHistory(
  api: KubeApi,
  namespace: string,
  pod: KubeObject,
): Promise<MetricsHistory | null> {
  const [within, name] = [namespace, pod.metadata.name].map((part) => encodeURIComponent(part))
  const path = `/api/v1/namespaces/${within}/pods/${name}:${metricsPort(pod)}/proxy/metrics/history`
  const answer = await api.getRaw(path, AbortSignal.timeout(timeoutMs), maxHistoryBytes)
  return parseHistory(answer)
}

function metricsPort(pod: KubeObject): number {
  const ports = objectsMember(member(pod, 'spec'), 'containers').flatMap((container) =>
    objectsMember(container, 'ports').filter((port) => textMember(port, 'name') === 'metrics'),
  )
  const port = ports[0]?.['containerPort']
  return typeof port === 'number' && Number.isInteger(port) ? port : defaultPort
}

function parseHistory(answer: unknown): MetricsHistory | null {
  if (!isObject(answer)) return null
  const { startedAt, stepMs, series, samples } = answer
  if (!isCount(startedAt) || stepMs !== historyStepMs) return null
  if (!Array.isArray(series) || !Array.isArray(samples) || samples.length > maxSamples) return null
  if (!series.every((name) => typeof name === 'string')) return null
  const areSamples = samples.every(
    (sample) =>
      Array.isArray(sample) && sample.length === series.length + 1 && sample.every(isCount),
  )
  return areSamples ? (answer as unknown as MetricsHistory) : null
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

const counters = ['reviews', 'denied', 'errors', 'images', 'fromMirror'] as const

type Counts = Record<(typeof counters)[number], number> & { failing: number | null }

/**
 * Adds the increases of the counters in each step. The values of the first sample are an increase too, unless the process has
 * older samples that it no longer keeps.
 */
function addUp(histories: readonly MetricsHistory[], now: number): readonly TrendPoint[] {
  const points = new Map<number, Counts>()
  for (const { startedAt, series, samples } of histories) {
    const valueOf = (sample: readonly number[] | undefined, name: string) => {
      const index = series.indexOf(name)
      return index === -1 ? 0 : (sample?.[index + 1] ?? 0)
    }
    for (const [index, sample] of samples.entries()) {
      const [at] = sample
      const isFirst = index === 0
      // An older sample than the first one is not kept.
      if (isFirst && startedAt < at - historyStepMs) continue
      // The last sample is from the step that has not ended.
      const end = Math.min(Math.ceil(at / historyStepMs) * historyStepMs, now)
      const point = points.get(end) ?? { reviews: 0, denied: 0, errors: 0, images: 0, fromMirror: 0, failing: null } // prettier-ignore
      points.set(end, point)
      const before = isFirst ? undefined : samples[index - 1]
      for (const name of counters)
        point[name] += Math.max(0, valueOf(sample, name) - valueOf(before, name))
      if (valueOf(sample, 'leads') === 1)
        point.failing = (point.failing ?? 0) + valueOf(sample, 'failing')
    }
  }
  return [...points]
    .toSorted(([one], [other]) => one - other)
    .map(([at, counts]) => ({ at, ...counts }))
}

function reasonOf(error: unknown): string {
  if (error instanceof BerthError) return cutText(error.message)
  return `no answer within ${timeoutMs / 1_000} seconds`
}
