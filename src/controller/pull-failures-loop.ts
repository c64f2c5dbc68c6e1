/**
 * Pods that stay without an image: one Event for each pod and cause, with what is the matter and what to do, and how many
 * there are now. Asks no registry.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PullFailure } from '../diagnose/pull-failure.ts'
import { findings } from '../diagnose/findings.ts'
import { diagnoseMessage, type PullVerdict } from '../diagnose/verdict.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { hasStatus } from '../kube/error.ts'
import { recordEventOnce } from '../kube/event-recorder.ts'
import type { KubeObject } from '../kube/object.ts'
import { startInformer } from '../kube/informer.ts'
import { parseReference } from '../decision/reference/parse.ts'
import type { Logger } from '../telemetry/log.ts'
import type { FailingCount, PullFailureMetrics } from '../telemetry/pull-failure-metrics.ts'
import {
  type FailingPod,
  trackPod,
  isSameFailure,
  readFailingPod,
  type TrackedPod,
} from '../diagnose/failing-pods.ts'
import type { Loop } from './runtime/loops.ts'

/** Throws KubeError when the API server does not answer. */
export type DiagnosePull = (pod: KubeObject, failure: PullFailure) => Promise<PullVerdict>

export interface PullFailuresDependencies {
  readonly api: KubeApi
  /** One for each pass: what it has read may be used again until then. */
  readonly createDiagnoser: () => DiagnosePull
  /** Registries with a label of their own. */
  readonly hosts: Pick<ReadonlySet<string>, 'has'>
  readonly metrics: PullFailureMetrics
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
}

export interface PullFailuresOptions {
  /** Milliseconds that a pod has to be without an image before it is told of. */
  readonly staysMs?: number
  /** Milliseconds between one pass and the next. */
  readonly leastMs?: number
}

/** The kubelet's third try, 10 and then 20 seconds after the ones before (imageBackOffPeriod, kubelet.go): two failed ones are no hiccup. */
const defaultStaysMs = 30_000

/** The kubelet tries again this often at the least (MaxImageBackOff, kubelet.go), and what was read may have changed by then. */
const judgeAgainMs = 300_000

/** Changes come in bursts. */
const defaultLeastMs = 1_000

/** What could not be told is tried again after this; what is new wakes the loop at once. */
const passMs = 30_000

export function pullFailuresLoop(
  dependencies: PullFailuresDependencies,
  options: PullFailuresOptions = {},
): Loop {
  return {
    name: 'pull-failures',
    run: async (signal) => {
      try {
        await run(dependencies, options, signal)
      } finally {
        // Another replica tells of them now, or nobody does.
        dependencies.metrics.failing([])
      }
    },
  }
}

async function run(
  dependencies: PullFailuresDependencies,
  { staysMs = defaultStaysMs, leastMs = defaultLeastMs }: PullFailuresOptions,
  signal: AbortSignal,
): Promise<void> {
  const { api, log, metrics, hosts } = dependencies
  const tracked = new Map<string, TrackedPod>()
  let wake = () => {}
  let isRefused = false
  const watched = startInformer<KubeObject, FailingPod>(api, {
    ref: { apiVersion: 'v1', resource: 'pods' },
    // A pod that runs may lack an image too, of a container that was begun again; one that has ended lacks none.
    selection: { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' },
    transform: readFailingPod,
    onChange: (key, now) => {
      if (now === null) tracked.delete(key)
      else tracked.set(key, trackPod(tracked.get(key), now, performance.now()))
      wake()
    },
    onError: (error) => {
      const problem = String(error)
      if (isRefused || !hasStatus(error, 403)) log.debug({ problem }, 'pull failures: watch')
      else
        log.warn(
          { problem },
          'pods may not be watched, so nobody is told of images that do not come; grant it, or set pullFailures.report to false',
        )
      isRefused ||= hasStatus(error, 403)
    },
    signal,
  })
  const tellOf = createTeller(dependencies)
  await watched.synced
  while (!signal.aborted) {
    const woken = new AbortController()
    wake = () => woken.abort()
    signal.addEventListener('abort', wake, { once: true })
    const started = performance.now()
    const diagnose = dependencies.createDiagnoser()
    for (const each of tracked.values()) await diagnosePod(dependencies, diagnose, each)
    metrics.failing(countsOf(tracked.values(), hosts))
    for (const each of tracked.values())
      if (started >= each.since + staysMs) await tellOf(each, signal)
    const due = [...tracked.values()]
      .map(({ since }) => since + staysMs)
      .filter((time) => time > started)
    const waitMs = Math.min(passMs, ...due.map((time) => time - performance.now()))
    await sleep(leastMs, undefined, { signal }).catch(() => undefined)
    await sleep(Math.max(0, waitMs - leastMs), undefined, { signal: woken.signal }).catch(
      () => undefined,
    )
    signal.removeEventListener('abort', wake)
  }
}

/** Judges what is new of a pod, or was judged long ago. What cannot be judged now is tried again in the next pass. */
async function diagnosePod(
  { log }: PullFailuresDependencies,
  diagnose: DiagnosePull,
  { pod, failures, verdicts }: TrackedPod,
): Promise<void> {
  for (const container of verdicts.keys())
    if (!failures.some((failure) => failure.container === container)) verdicts.delete(container)
  for (const failure of failures) {
    const before = verdicts.get(failure.container)
    const at = performance.now()
    if (
      before !== undefined &&
      isSameFailure(before.failure, failure) &&
      at < before.at + judgeAgainMs
    )
      continue
    try {
      verdicts.set(failure.container, { failure, verdict: await diagnose(pod, failure), at })
    } catch (error) {
      verdicts.delete(failure.container)
      log.debug({ pod: nameOf(pod), problem: String(error) }, 'pull failures: not judged')
    }
  }
}

/** Pods by cause and registry. One that could not be judged counts by its message alone. */
function countsOf(
  tracked: Iterable<TrackedPod>,
  hosts: PullFailuresDependencies['hosts'],
): FailingCount[] {
  const counts = new Map<string, { cause: string; registry: string; pods: number }>()
  for (const { failures, verdicts } of tracked) {
    const own = new Map(
      failures.map((failure) => {
        const known = verdicts.get(failure.container)?.verdict
        const { cause } = (known ?? diagnoseMessage(failure.message, null)).rule
        const registry = registryOf(failure.image, hosts)
        return [`${cause} ${registry}`, { cause, registry }] as const
      }),
    )
    for (const [key, labels] of own) {
      const before = counts.get(key)
      if (before === undefined) counts.set(key, { ...labels, pods: 1 })
      else before.pods += 1
    }
  }
  return [...counts.values()]
}

function registryOf(image: string, hosts: PullFailuresDependencies['hosts']): string {
  const parsed = parseReference(image)
  return parsed.ok && hosts.has(parsed.reference.domain) ? parsed.reference.domain : 'other'
}

/** Tells of each cause of a pod once; `unknown` is none, and a later try may say more. */
function createTeller({ api, log }: PullFailuresDependencies) {
  let isRefused = false
  return async ({ pod, verdicts, reported }: TrackedPod, signal: AbortSignal): Promise<void> => {
    const { namespace = '', name, uid = '' } = pod.metadata
    for (const { failure, verdict } of verdicts.values()) {
      const { id, cause } = verdict.rule
      if (signal.aborted || verdict.certainty === 'unknown' || reported.has(id)) continue
      const about = { apiVersion: 'v1', kind: 'Pod', namespace, name, uid }
      const event = {
        type: 'Warning',
        reason: 'ImagePullDiagnosed',
        message: messageOf(failure, verdict),
      } as const
      try {
        await recordEventOnce(api, about, event, new Date())
      } catch (error) {
        // Refused is refused, by rights or because the namespace is on its way out; all else is tried again.
        const problem = String(error)
        if (hasStatus(error, 403, 404)) reported.add(id)
        if (!isRefused && hasStatus(error, 403)) log.warn({ problem }, 'an Event was not written')
        else log.debug({ pod: nameOf(pod), problem }, 'an Event was not written')
        isRefused ||= hasStatus(error, 403)
        continue
      }
      reported.add(id)
      log.info(
        { pod: nameOf(pod), image: failure.image, cause, rule: id },
        'an image does not come',
      )
    }
  }
}

/** What `berth diagnose` would say, in a sentence or three; holds nothing that changes from one try to the next. */
function messageOf(failure: PullFailure, verdict: PullVerdict): string {
  const [finding] = findings([{ failure, verdict }])
  const { cause, id } = verdict.rule
  const about = verdict.secrets.length === 0 ? '' : ` (${verdict.secrets.join(', ')})`
  const [command] = finding?.commands ?? []
  const sentences = [
    `${failure.image} does not come: ${verdict.rule.means}${about} [${cause}, ${verdict.certainty}, ${id}]`,
    `Fix: ${verdict.rule.fix}`,
    ...(command === undefined ? [] : [command]),
  ]
  return sentences.join('. ')
}

function nameOf({ metadata: { namespace = '', name } }: KubeObject): string {
  return `${namespace}/${name}`
}
