/**
 * The controller loop that checks, at a limited rate, that registries still have the images that pods run: a pod whose image is
 * gone cannot start on another node. It changes nothing in the cluster, and records one Event for each image that is gone.
 */
import { createNotifier } from '../async/notifier.ts'
import { createRateLimiter } from '../async/rate-limiter.ts'
import { longestDelayMs, sleep } from '../async/sleep.ts'
import type { IsPlainHttp } from '../decision/fallback/registry-aliases.ts'
import type { Engine } from '../engine/decision-engine.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { hasStatus } from '../kube/error.ts'
import { recordEventOnce } from '../kube/event-recorder.ts'
import { type KubeObject, namespacedName } from '../kube/object.ts'
import { type Availability, checkAvailability, reasonNotChecked } from '../report/availability.ts'
import { type ImageSource, runningImages } from '../report/running-images.ts'
import type { AvailabilityMetrics, ImageCount } from '../telemetry/availability-metrics.ts'
import type { Logger } from '../telemetry/log.ts'
import {
  type AvailabilityMemory,
  type AvailabilityState,
  type AvailabilityTimes,
  type CheckedImage,
  type ImageUse,
  recordAvailability,
} from './availability-memory.ts'
import type { ImageFinding } from '../report/open-reports.ts'
import type { ImageFindings } from './image-findings.ts'
import type { Loop } from './runtime/loops.ts'
import type { PodWatch } from './runtime/pod-watch.ts'

export interface AvailabilityLoopDependencies {
  readonly api: KubeApi
  readonly watch: PodWatch
  readonly memory: AvailabilityMemory
  readonly settings: { readonly intervalMs: number; readonly perMinute: number }
  readonly isPlainHttp: IsPlainHttp
  readonly openEngine: () => Pick<Engine, 'resolve' | 'close'>
  readonly metrics: AvailabilityMetrics
  /** Null if nothing reads them. */
  readonly findings?: ImageFindings | null
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
}

const missingRightFix =
  'add the component availability (Helm: controller.availability=true), or remove availability from the config'

/** Time to repair a registry that restarted with empty storage, before its images count as gone. */
const maxConfirmMs = 600_000

/** A rollout changes many pods at once. Waiting this long counts their images together. */
const gatherMs = 500

/** The part of a pod that is kept in memory. */
interface WatchedPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly uses: readonly ImageUse[]
}

interface AvailabilityRun extends AvailabilityLoopDependencies {
  readonly pods: ReadonlyMap<string, WatchedPod>
  readonly engine: Pick<Engine, 'resolve'>
  readonly times: AvailabilityTimes
  readonly signal: AbortSignal
}

export function createAvailabilityLoop(dependencies: AvailabilityLoopDependencies): Loop {
  return {
    name: 'availability',
    async run(untilAborted) {
      const { memory, metrics, openEngine } = dependencies
      const stop = new AbortController()
      const signal = AbortSignal.any([untilAborted, stop.signal])
      const engine = openEngine()
      try {
        await checkImages(dependencies, engine, signal)
      } finally {
        stop.abort()
        // The next leader counts them.
        metrics.images([])
        memory.restart()
        await engine.close()
      }
    },
  }
}

async function checkImages(
  dependencies: AvailabilityLoopDependencies,
  engine: Pick<Engine, 'resolve'>,
  signal: AbortSignal,
): Promise<void> {
  const { memory, metrics, watch, isPlainHttp, log, settings } = dependencies
  const { intervalMs, perMinute } = settings
  const podsChanged = createNotifier()
  memory.restart()
  const { items: pods, synced } = watch.follow<WatchedPod>({
    loop: 'availability',
    transform: (pod) => readPod(pod, memory, isPlainHttp),
    onChange: (_, before) => {
      if (before !== null) memory.release(before.uses)
      podsChanged.notify()
    },
    log,
    missingRightFix,
    signal,
  })
  await synced
  memory.forgetUnused()
  const times = { intervalMs, confirmMs: Math.min(intervalMs, maxConfirmMs) }
  const run: AvailabilityRun = { ...dependencies, pods, engine, times, signal }
  const limiter = createRateLimiter(60_000 / perMinute)
  let isFullLogged = false
  while (!signal.aborted) {
    recordUnchecked(run)
    metrics.images(countImages(memory.images.values()))
    dependencies.findings?.publish('image-at-risk', () => readFindings(pods.values()))
    if (memory.isFull && !isFullLogged) {
      isFullLogged = true
      log.warn({ images: memory.images.size }, 'too many images to check all of them')
    }
    const { image, waitMs } = memory.next(performance.now())
    if (image === null) {
      await podsChanged.wait(Math.min(waitMs, longestDelayMs), signal)
      await sleep(Math.min(gatherMs, waitMs), signal)
    } else {
      await limiter.acquire(signal)
      await checkImage(run, image)
    }
  }
}

function readPod(
  pod: KubeObject,
  memory: AvailabilityMemory,
  isPlainHttp: IsPlainHttp,
): WatchedPod | null {
  const images = runningImages(pod)
  if (images.length === 0) return null
  const { namespace = '', name, uid = '' } = pod.metadata
  return { namespace, name, uid, uses: memory.use(images, namespace, isPlainHttp) }
}

/** Records why images are not checked whose registries Berth does not contact. A reload of the config checks again. */
function recordUnchecked({ engine, memory, log }: AvailabilityRun): void {
  for (const image of memory.images.values()) {
    if (image.nextAt === Infinity) continue
    const detail = reasonNotChecked(engine.resolve, image.reference.domain)
    if (detail === null) continue
    Object.assign(image, { state: 'unknown', detail, absentSince: null, nextAt: Infinity })
    log.debug({ image: image.name, problem: detail }, 'image not checked')
  }
}

async function checkImage(run: AvailabilityRun, image: CheckedImage): Promise<void> {
  const { engine, memory, signal, times } = run
  const availability = await checkAvailability(engine.resolve, image.reference, signal)
  if (signal.aborted) return
  const now = performance.now()
  const before = recordAvailability(image, availability, now, times)
  if (availability.isLimited) memory.pause(image.reference.domain, availability, now)
  if (image.state === before) return
  logChange(run, image, before)
  if (image.state === 'gone') await recordGone(run, image, availability)
}

function logChange(
  { log }: AvailabilityRun,
  { name, state, detail, uses }: CheckedImage,
  before: AvailabilityState,
): void {
  const fields = { image: name, source: sourceOf(uses), state, before, problem: detail }
  const level = state === 'gone' ? 'warn' : before === 'unknown' ? 'debug' : 'info'
  log[level](fields, 'image availability changed')
}

/** Records an Event about a pod that runs the image. */
async function recordGone(
  { api, pods, log }: AvailabilityRun,
  image: CheckedImage,
  { detail }: Availability,
): Promise<void> {
  const source = sourceOf(image.uses)
  const pod = findUser(pods.values(), image, source)
  if (pod === null) return
  const { namespace, name, uid } = pod
  const about = { apiVersion: 'v1', kind: 'Pod', namespace, name, uid }
  const message = goneMessage(image.name, source, detail)
  try {
    await recordEventOnce(api, about, { type: 'Warning', reason: 'ImageGone', message }, new Date())
  } catch (error) {
    const fix = hasStatus(error, 403) ? missingRightFix : undefined
    const fields = { pod: namespacedName({ metadata: pod }), problem: String(error), fix }
    log.warn(fields, 'event not recorded')
  }
}

function goneMessage(image: string, source: ImageSource, detail: string | null): string {
  const consequence =
    source === 'registry'
      ? 'other nodes cannot pull it. Push it again, or change the image of the pods'
      : 'only the copy that pods run is left. Keep the copy, or change the image of the pods'
  return `${source === 'registry' ? 'the registry' : 'upstream'} no longer has ${image} (${detail}): ${consequence}`
}

function* readFindings(pods: Iterable<WatchedPod>): Generator<ImageFinding> {
  for (const { namespace, name: pod, uses } of pods) {
    for (const { source, image } of uses) {
      if (image.state !== 'gone') continue
      const message = goneMessage(image.name, source, image.detail)
      const about = { kind: 'image-at-risk', rule: `gone-from-${source}` } as const
      yield { ...about, namespace, pod, image: image.name, message }
    }
  }
}

function findUser(
  pods: Iterable<WatchedPod>,
  image: CheckedImage,
  source: ImageSource,
): WatchedPod | null {
  for (const pod of pods)
    if (pod.uses.some((use) => use.image === image && use.source === source)) return pod
  return null
}

/** An image that some pods run and others were copied from counts as one that nodes pull. */
function sourceOf({ registry }: CheckedImage['uses']): ImageSource {
  return registry > 0 ? 'registry' : 'upstream'
}

function countImages(images: Iterable<CheckedImage>): readonly ImageCount[] {
  const states = ['available', 'gone', 'unknown'] as const
  const sources = ['registry', 'upstream'] as const
  const all = [...images]
  return sources.flatMap((source) =>
    states.map((state) => ({
      source,
      state,
      images: all.filter((image) => image.state === state && image.uses[source] > 0).length,
    })),
  )
}
