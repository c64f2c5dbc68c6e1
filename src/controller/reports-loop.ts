/**
 * The controller loop that keeps an OpenReports Report in each namespace whose pods have findings. It writes only what has
 * changed, and deletes the report when the last finding is gone. It leaves a Report of the same name that it did not write.
 */
import { createNotifier } from '../async/notifier.ts'
import { createRateLimiter } from '../async/rate-limiter.ts'
import { sleep } from '../async/sleep.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { BerthError } from '../errors.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { hasStatus, isMissingRight } from '../kube/error.ts'
import { startInformer } from '../kube/informer.ts'
import type { KubeObject } from '../kube/object.ts'
import type { Refusals } from '../kube/refusals.ts'
import { contentAnnotation } from '../pull-secrets/labels.ts'
import {
  buildOpenReports,
  type ImageFinding,
  type OpenReport,
  hasOwnerMark,
  openReportName,
  openReportSelector,
  openReportsApi,
} from '../report/open-reports.ts'
import { runningImages } from '../report/running-images.ts'
import type { Logger } from '../telemetry/log.ts'
import type { ImageFindings } from './image-findings.ts'
import type { Loop } from './runtime/loops.ts'
import type { PodWatch } from './runtime/pod-watch.ts'
import { createWatchErrorLog } from './runtime/watch-error-log.ts'

export interface ReportsDependencies {
  readonly api: KubeApi
  readonly watch: PodWatch
  readonly findings: ImageFindings
  /** Whether the config pins a tag. */
  readonly isPinned: (tag: string) => boolean
  readonly refusals: Refusals
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
}

export interface ReportsTimes {
  /** The minimum time between two passes, in milliseconds: a rollout changes many pods one after the other. */
  readonly minIntervalMs: number
  /** The maximum time, after which failed writes are retried. */
  readonly maxIntervalMs: number
  /** The minimum time between two writes. */
  readonly writeGapMs: number
}

const defaultTimes: ReportsTimes = { minIntervalMs: 5_000, maxIntervalMs: 60_000, writeGapMs: 100 }

const missingRightFix =
  'install the custom resource definitions of OpenReports and add the component reports (Helm: controller.reports=true), or set reports.openReports to false'

/** Unpinned images that are reported for one pod. Real pods have fewer. */
const maxUnpinnedPerPod = 16

/** Namespaces whose foreign report is logged once. The controller supports clusters with fewer. */
const maxForeignLogged = 10_000

/** A report in the cluster. */
interface StoredReport {
  readonly namespace: string
  readonly uid: string | undefined
  readonly resourceVersion: string | undefined
  /** The hash that Berth writes into each report; null for a report that Berth did not write. */
  readonly content: string | null
}

export function createReportsLoop(
  dependencies: ReportsDependencies,
  times: ReportsTimes = defaultTimes,
): Loop {
  return { name: 'reports', run: (signal) => run(dependencies, times, signal) }
}

async function run(
  dependencies: ReportsDependencies,
  { minIntervalMs, maxIntervalMs, writeGapMs }: ReportsTimes,
  signal: AbortSignal,
): Promise<void> {
  const { findings } = dependencies
  const changed = createNotifier()
  findings.onChange(() => changed.notify())
  const stored = watchReports(dependencies, () => changed.notify(), signal)
  await Promise.all([stored.synced, publishUnpinned(dependencies, signal)])
  const write = createWriter(dependencies, writeGapMs, signal)
  while (!signal.aborted) {
    const current = findings.read()
    if (current !== null) await write(buildOpenReports(current), stored.items)
    await changed.wait(maxIntervalMs, signal)
    await sleep(minIntervalMs, signal)
  }
}

function watchReports(
  { api, refusals, log }: ReportsDependencies,
  onChange: () => void,
  signal: AbortSignal,
) {
  const ref = { apiVersion: openReportsApi, resource: 'reports' }
  const logError = createWatchErrorLog(log, missingRightFix)
  return startInformer<KubeObject, StoredReport>(api, {
    ref,
    selection: { labelSelector: openReportSelector, metadataOnly: true },
    transform: ({ metadata: { name, namespace = '', uid, resourceVersion, annotations } }) =>
      name === openReportName
        ? { namespace, uid, resourceVersion, content: annotations?.[contentAnnotation] ?? null }
        : null,
    onChange,
    onError: (error, isRepeated) => {
      // The API server does not know the kind.
      if (hasStatus(error, 404) && !isRepeated)
        log.warn({ problem: String(error), fix: missingRightFix }, 'reports cannot be written')
      else logError(error, isRepeated, ref)
    },
    refusals,
    signal,
  })
}

/** Publishes the images of pods whose tag the config pins, and which have no digest. */
function publishUnpinned(
  { watch, findings, isPinned, log }: ReportsDependencies,
  signal: AbortSignal,
): Promise<void> {
  const publish = () =>
    findings.publish('unpinned-image', function* () {
      for (const found of pods.values()) yield* found
    })
  const { items: pods, synced } = watch.follow<readonly ImageFinding[]>({
    loop: 'reports',
    transform: (pod) => unpinnedImages(pod, isPinned),
    onChange: publish,
    log,
    missingRightFix,
    signal,
  })
  return synced.then(publish)
}

/** Returns null for none. */
function unpinnedImages(
  pod: KubeObject,
  isPinned: ReportsDependencies['isPinned'],
): readonly ImageFinding[] | null {
  const { name, namespace = '' } = pod.metadata
  const found = runningImages(pod).flatMap(({ source, image }): ImageFinding[] => {
    const parsed = source === 'registry' ? parseReference(image) : null
    if (parsed === null || !parsed.ok) return []
    const { tag, digest } = parsed.reference
    if (digest !== null || !isPinned(tag ?? 'latest')) return []
    const message = `${image} has no digest, so a restart may run another image`
    return [
      { kind: 'unpinned-image', rule: 'unpinned-image', namespace, pod: name, image, message },
    ]
  })
  return found.length === 0 ? null : found.slice(0, maxUnpinnedPerPod)
}

/** Returns a function that writes the reports that differ from the stored ones. A failed write is retried in the next pass. */
function createWriter(
  { api, log }: ReportsDependencies,
  writeGapMs: number,
  signal: AbortSignal,
): (
  reports: ReadonlyMap<string, OpenReport>,
  stored: ReadonlyMap<string, StoredReport>,
) => Promise<void> {
  const limiter = createRateLimiter(writeGapMs)
  const noteForeign = createForeignLog(log)
  let isForbidden = false

  /** Returns false if the right is missing. */
  async function attempt(namespace: string, write: () => Promise<unknown>): Promise<boolean> {
    if (!(await acquired())) return false
    try {
      await write()
      isForbidden = false
      return true
    } catch (error) {
      if (!(error instanceof BerthError)) throw error
      const fields = { namespace, problem: error.message }
      if (!isMissingRight(error)) {
        // 409: it changed in the meantime, or someone else's has no label. 403 and 404: the namespace is being deleted.
        log.debug(fields, 'report not written')
        if (hasStatus(error, 409) && (await isForeign(api, namespace))) noteForeign(namespace)
        return true
      }
      log[isForbidden ? 'debug' : 'warn']({ ...fields, fix: missingRightFix }, 'right missing')
      isForbidden = true
      return false
    }
  }

  const acquired = () =>
    limiter.acquire(signal).then(
      () => !signal.aborted,
      () => false,
    )

  return async (reports, stored) => {
    const known = new Map([...stored.values()].map((report) => [report.namespace, report]))
    for (const report of reports.values()) {
      const before = known.get(report.namespace)
      if (before?.content === report.content) continue
      if (before?.content === null) {
        noteForeign(report.namespace)
        continue
      }
      if (!(await attempt(report.namespace, () => put(api, report, before)))) return
    }
    for (const { namespace, uid, content } of known.values()) {
      if (reports.has(namespace) || content === null) continue
      const ref = { ...collection(namespace), name: openReportName }
      if (!(await attempt(namespace, () => api.delete(ref, { uid })))) return
    }
  }
}

/** Returns a function that logs once for each namespace that it has a report of the same name. */
function createForeignLog(log: ReportsDependencies['log']): (namespace: string) => void {
  const logged = new Set<string>()
  return (namespace) => {
    if (logged.has(namespace)) return
    if (logged.size < maxForeignLogged) logged.add(namespace)
    const fix = `delete or rename the Report ${openReportName} that someone else has created`
    log.warn({ namespace, fix }, 'report of another owner left unchanged')
  }
}

/** Returns whether the report of a namespace was not written by Berth. Needs no other right than the watch. */
async function isForeign(api: KubeApi, namespace: string): Promise<boolean> {
  const selection = { fieldSelector: `metadata.name=${openReportName}`, metadataOnly: true }
  try {
    for await (const { metadata } of api.list<KubeObject>(collection(namespace), selection))
      return !hasOwnerMark(metadata)
  } catch (error) {
    if (!(error instanceof BerthError)) throw error
  }
  return false
}

function put(
  api: KubeApi,
  { namespace, object }: OpenReport,
  before: StoredReport | undefined,
): Promise<unknown> {
  const ref = collection(namespace)
  if (before === undefined) return api.create(ref, object)
  const { resourceVersion } = before
  const metadata = { ...object.metadata, resourceVersion }
  return api.replace({ ...ref, name: openReportName }, { ...object, metadata })
}

const collection = (namespace: string) => ({
  apiVersion: openReportsApi,
  resource: 'reports',
  namespace,
})
