/**
 * Diagnoses the failing pulls of a cluster, as `berth diagnose` does: at once from what the cluster says, then with what its
 * registries say. A failure is diagnosed again after a while, because its cause may have changed.
 */
import {
  diagnosePulls,
  type DiagnosisSources,
  type FailingPull,
} from '../diagnose/evidence/diagnose-cluster.ts'
import { waitingContainers } from '../decision/pod/waiting-containers.ts'
import { readPodEvents } from '../diagnose/evidence/cluster-reader.ts'
import { type DiagnosedFailure, findings } from '../diagnose/findings.ts'
import { type PodEvent, pullFailures } from '../diagnose/pull-failure.ts'
import { classify } from '../diagnose/rules/classify.ts'
import { diagnoseMessage } from '../diagnose/verdict.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { KubeObject } from '../kube/object.ts'
import { isReady } from '../kube/pod-status.ts'
import type { Finding } from './wire.ts'

export interface PullFindingsOptions {
  readonly api: KubeApi
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  /** Returns what opens the sources for one pass; null to ask no registry. */
  readonly sources: () => OpenSources | null
  /** True to read nothing but the pods: no Events, Secrets, service accounts and nodes. */
  readonly readsPodsOnly: boolean
  readonly now: () => number
}

export type OpenSources = () => { readonly sources: DiagnosisSources; close(): Promise<void> }

export interface PullFindings {
  /** Diagnoses what is new or old. Calls `onChange` after each step. Throws KubeError. */
  update(pods: Iterable<KubeObject>, onChange: () => void): Promise<void>
  list(): readonly Finding[]
  /** The UIDs of failing pods. */
  failing(): ReadonlySet<string>
}

interface Known extends DiagnosedFailure {
  readonly uid: string
  readonly ruleOfMessage: string
  readonly since: number
  readonly diagnosedAt: number
  readonly isComplete: boolean
}

/** Failures that are diagnosed. More have the same few causes. */
const maxFailures = 500

/** Failing containers of a finding that the page lists. */
const maxListed = 50

/** The kubelet's longest delay between attempts (kubelet.go, MaxImageBackOff), in milliseconds. */
const diagnoseAgainMs = 300_000

/** Kubelets report some failures only as events, which are read this often, in milliseconds. */
const readEventsMs = 10_000

/** Creates the findings of one console, which are empty until the first update. */
export function createPullFindings(options: PullFindingsOptions): PullFindings {
  const { api, readsPodsOnly, now } = options
  const known = new Map<string, Known>()
  const readEvents = createEventReader(options)
  const diagnoseAll = (failing: readonly FailingPull[], sources: DiagnosisSources) =>
    readsPodsOnly ? failing.map(diagnoseByMessage) : diagnosePulls(api, failing, sources)

  async function diagnose(
    pulls: readonly Pull[],
    sources: DiagnosisSources,
    isComplete: boolean,
  ): Promise<void> {
    const diagnosed = await diagnoseAll(
      pulls.map(([, pull]) => pull),
      sources,
    )
    for (const [index, [key, { pod, failure }]] of pulls.entries()) {
      const result = diagnosed[index]
      if (result === undefined) continue
      known.set(key, {
        ...result,
        uid: pod.metadata.uid ?? '',
        ruleOfMessage: classify(failure.message).rule.id,
        since: known.get(key)?.since ?? now(),
        diagnosedAt: now(),
        isComplete,
      })
    }
  }

  return {
    async update(pods, onChange) {
      const openSources = options.sources()
      const waiting = [...pods].filter(isWaiting)
      const failing = readFailures(waiting, await readEvents(waiting))
      for (const key of known.keys()) if (!failing.has(key)) known.delete(key)
      const pulls = [...failing].filter(([key, pull]) => isDue(pull, known.get(key), now()))
      const fresh = pulls.filter(([key]) => !known.has(key))
      if (fresh.length > 0) await diagnose(fresh, {}, openSources === null)
      onChange()
      const rest = openSources === null ? pulls.filter((each) => !fresh.includes(each)) : pulls
      if (rest.length === 0) return
      const opened = openSources?.() ?? { sources: {}, close: () => Promise.resolve() }
      try {
        await diagnose(rest, opened.sources, true)
      } finally {
        await opened.close()
      }
      onChange()
    },
    list: () => findingsOf([...known.values()]),
    failing: () => new Set([...known.values()].map(({ uid }) => uid)),
  }
}

function diagnoseByMessage({ failure }: FailingPull): DiagnosedFailure {
  return { failure, verdict: diagnoseMessage(failure.message, null) }
}

/** A failing pull with its key. */
type Pull = readonly [key: string, pull: FailingPull]

type Events = ReadonlyMap<string, readonly PodEvent[]>

function createEventReader({
  api,
  namespace,
  readsPodsOnly,
  now,
}: PullFindingsOptions): (pods: readonly KubeObject[]) => Promise<Events> {
  const where = { apiVersion: 'v1', ...(namespace === undefined ? {} : { namespace }) }
  let readAt = Number.NEGATIVE_INFINITY
  let events: Events = new Map()
  return async (pods) => {
    if (readsPodsOnly || pods.length === 0 || now() < readAt + readEventsMs) return events
    readAt = now()
    events = await readPodEvents(api, where)
    return events
  }
}

function isWaiting(pod: KubeObject): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false
  return !isReady(pod) || waitingContainers(pod).length > 0
}

function readFailures(pods: readonly KubeObject[], events: Events): Map<string, FailingPull> {
  const failing = new Map<string, FailingPull>()
  for (const pod of pods) {
    const uid = pod.metadata.uid ?? ''
    for (const failure of pullFailures(pod, events.get(uid) ?? []))
      if (failing.size < maxFailures)
        failing.set(`${uid} ${failure.container} ${failure.image}`, { pod, failure })
  }
  return failing
}

/** Returns whether a failure is new, has another cause, or was diagnosed long ago. */
function isDue({ failure }: FailingPull, before: Known | undefined, now: number): boolean {
  if (before === undefined || now >= before.diagnosedAt + diagnoseAgainMs) return true
  const { rule } = classify(failure.message)
  // Before Kubernetes 1.31, a pod in ImagePullBackOff does not repeat the cause.
  const isNew = rule.id !== before.ruleOfMessage && rule.certainty !== 'unknown'
  return isNew || !before.isComplete
}

function findingsOf(known: readonly Known[]): Finding[] {
  const byPlace = new Map(known.map((each) => [placeOf(each.failure), each]))
  return findings(known).map((finding) => {
    const members = finding.failures.flatMap((each) => byPlace.get(placeOf(each)) ?? [])
    return {
      ...finding,
      id: [finding.rule, finding.registry, ...finding.secrets].join(' '),
      failures: finding.failures.slice(0, maxListed),
      count: finding.failures.length,
      since: Math.min(...members.map(({ since }) => since)),
      isComplete: members.every(({ isComplete }) => isComplete),
    }
  })
}

function placeOf(failure: {
  readonly namespace: string
  readonly pod: string
  readonly container: string
  readonly image: string
}): string {
  return [failure.namespace, failure.pod, failure.container, failure.image].join(' ')
}
