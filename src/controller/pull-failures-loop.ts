/**
 * The controller loop that diagnoses image pull failures: it records one Event for each pod and cause, and counts the failing
 * pods. It sends no request to a registry.
 */
import { createNotifier } from '../async/notifier.ts'
import { sleep } from '../async/sleep.ts'
import { parseReference } from '../decision/reference/parse.ts'
import {
  isSameFailure,
  readFailingPod,
  trackPod,
  type TrackedPod,
} from '../diagnose/failing-pods.ts'
import { findings } from '../diagnose/findings.ts'
import type { PullFailure } from '../diagnose/pull-failure.ts'
import { diagnoseMessage, type PullVerdict } from '../diagnose/verdict.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { hasStatus } from '../kube/error.ts'
import { recordEventOnce } from '../kube/event-recorder.ts'
import { type KubeObject, namespacedName } from '../kube/object.ts'
import type { Logger } from '../telemetry/log.ts'
import type { FailingCount, PullFailureMetrics } from '../telemetry/pull-failure-metrics.ts'
import type { ImageFinding } from '../report/open-reports.ts'
import type { ImageFindings } from './image-findings.ts'
import type { Loop } from './runtime/loops.ts'
import type { PodWatch } from './runtime/pod-watch.ts'

/** Throws KubeError. */
export type DiagnosePull = (pod: KubeObject, failure: PullFailure) => Promise<PullVerdict>

export interface PullFailuresDependencies {
  readonly api: KubeApi
  readonly watch: PodWatch
  /** Called once for each pass, within which a diagnoser may reuse what it has read. */
  readonly createDiagnoser: () => DiagnosePull
  /** The registries that the metric distinguishes. */
  readonly hosts: Pick<ReadonlySet<string>, 'has'>
  readonly metrics: PullFailureMetrics
  /** Null if nothing reads them. */
  readonly findings?: ImageFindings | null
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
}

export interface PullFailuresTimes {
  /** Milliseconds for which a pull has to fail before an Event is recorded. */
  readonly reportAfterMs: number
  /** The least milliseconds between the end of a pass and the next one. */
  readonly minIntervalMs: number
}

const defaultTimes: PullFailuresTimes = {
  // After the kubelet's third attempt, which follows 10 and 20 seconds after the others (kubelet.go, imageBackOffPeriod).
  reportAfterMs: 30_000,
  // Changes come in bursts, and a failing pod is counted within a second.
  minIntervalMs: 500,
}

/** The kubelet's longest delay between attempts (kubelet.go, MaxImageBackOff): what a verdict rests on may have changed. */
const diagnoseAgainMs = 300_000

/** The longest delay between two passes, after which failed requests are retried. A change starts a pass at once. */
const maxIntervalMs = 30_000

const missingRightFix =
  'add the component pull-failures (Helm: controller.pullFailures=true), or set pullFailures.report to false'

export function createPullFailuresLoop(
  dependencies: PullFailuresDependencies,
  times: PullFailuresTimes = defaultTimes,
): Loop {
  return {
    name: 'pull-failures',
    run: async (signal) => {
      try {
        await run(dependencies, times, signal)
      } finally {
        // The next leader counts them.
        dependencies.metrics.failing([])
      }
    },
  }
}

async function run(
  dependencies: PullFailuresDependencies,
  { reportAfterMs, minIntervalMs }: PullFailuresTimes,
  signal: AbortSignal,
): Promise<void> {
  const { metrics, hosts, watch, log } = dependencies
  const podsChanged = createNotifier()
  const { items: pods, synced } = watch.follow<TrackedPod>({
    loop: 'pull-failures',
    transform: (pod, before) => trackPod(before, readFailingPod(pod), performance.now()),
    onChange: () => podsChanged.notify(),
    log,
    missingRightFix,
    signal,
  })
  const report = createReporter(dependencies)
  await synced
  while (!signal.aborted) {
    const startedAt = performance.now()
    const diagnose = dependencies.createDiagnoser()
    for (const pod of pods.values()) await diagnosePod(dependencies, diagnose, pod)
    metrics.failing(countFailing(pods.values(), hosts))
    dependencies.findings?.publish('pull-failure', () => readFindings(pods.values()))
    for (const pod of pods.values())
      if (startedAt >= pod.since + reportAfterMs) await report(pod, signal)
    let next = startedAt + maxIntervalMs
    for (const { since } of pods.values())
      if (since + reportAfterMs > startedAt) next = Math.min(next, since + reportAfterMs)
    await sleep(minIntervalMs, signal)
    await podsChanged.wait(Math.max(0, next - performance.now()), signal)
  }
}

/** Diagnoses failures that are new or were diagnosed long ago. A failed request is retried in the next pass. */
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
      at < before.at + diagnoseAgainMs
    )
      continue
    try {
      verdicts.set(failure.container, { failure, verdict: await diagnose(pod, failure), at })
    } catch (error) {
      verdicts.delete(failure.container)
      log.debug({ pod: namespacedName(pod), problem: String(error) }, 'pull failure not diagnosed')
    }
  }
}

/** Returns a finding for each verdict, also if the cause is unknown: the pod cannot run in any case. */
function* readFindings(pods: Iterable<TrackedPod>): Generator<ImageFinding> {
  for (const { pod, verdicts } of pods) {
    const { namespace = '', name } = pod.metadata
    for (const { failure, verdict } of verdicts.values()) {
      const { id: rule } = verdict.rule
      const { image } = failure
      const message = eventMessage(failure, verdict)
      yield { kind: 'pull-failure', rule, namespace, pod: name, image, message }
    }
  }
}

/** Counts pods by cause and registry. A failure without a verdict counts by its message. */
function countFailing(
  pods: Iterable<TrackedPod>,
  hosts: PullFailuresDependencies['hosts'],
): FailingCount[] {
  const counts = new Map<string, { cause: string; registry: string; pods: number }>()
  for (const { failures, verdicts } of pods) {
    const labelsOfPod = new Map(
      failures.map((failure) => {
        const verdict = verdicts.get(failure.container)?.verdict
        const { cause } = (verdict ?? diagnoseMessage(failure.message, null)).rule
        const registry = registryLabel(failure.image, hosts)
        return [`${cause} ${registry}`, { cause, registry }] as const
      }),
    )
    for (const [key, labels] of labelsOfPod) {
      const before = counts.get(key)
      if (before === undefined) counts.set(key, { ...labels, pods: 1 })
      else before.pods += 1
    }
  }
  return [...counts.values()]
}

function registryLabel(image: string, hosts: PullFailuresDependencies['hosts']): string {
  const parsed = parseReference(image)
  return parsed.ok && hosts.has(parsed.reference.domain) ? parsed.reference.domain : 'other'
}

/** Returns a function that records an Event for each cause of a pod, once. A later verdict may replace `unknown`, which gets none. */
function createReporter({ api, log }: PullFailuresDependencies) {
  let isForbidden = false
  return async ({ pod, verdicts, reported }: TrackedPod, signal: AbortSignal): Promise<void> => {
    const { namespace = '', name, uid = '' } = pod.metadata
    const involvedObject = { apiVersion: 'v1', kind: 'Pod', namespace, name, uid }
    for (const { failure, verdict } of verdicts.values()) {
      const { id, cause } = verdict.rule
      if (signal.aborted || verdict.certainty === 'unknown' || reported.has(id)) continue
      const message = eventMessage(failure, verdict)
      const event = { type: 'Warning', reason: 'ImagePullDiagnosed', message } as const
      const fields = { pod: namespacedName(pod), image: failure.image, cause, rule: id }
      try {
        await recordEventOnce(api, involvedObject, event, new Date())
        reported.add(id)
        log.info(fields, 'pull failure diagnosed')
      } catch (error) {
        const problem = String(error)
        // Without the right, or in a namespace that is being deleted (404), a retry does not help.
        if (hasStatus(error, 403, 404)) reported.add(id)
        if (!isForbidden && hasStatus(error, 403))
          log.warn({ problem, fix: missingRightFix }, 'event not recorded')
        else log.debug({ ...fields, problem }, 'event not recorded')
        isForbidden ||= hasStatus(error, 403)
      }
    }
  }
}

/** The verdict as `berth diagnose` prints it. Holds nothing that changes between two attempts, so that the Event stays the same. */
function eventMessage(failure: PullFailure, verdict: PullVerdict): string {
  const { cause, id, means } = verdict.rule
  const [finding] = findings([{ failure, verdict }])
  const commands = finding?.commands ?? []
  const secrets = verdict.secrets.length === 0 ? '' : ` (${verdict.secrets.join(', ')})`
  const sentences = [
    `cannot pull ${failure.image}: ${means}${secrets} [${cause}, ${verdict.certainty}, ${id}]`,
    `Fix: ${verdict.fix}`,
    ...(commands.length === 0 ? [] : [commands.join(' && ')]),
  ]
  return sentences.join('. ')
}
