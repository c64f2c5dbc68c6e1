/**
 * The controller loop that copies images to the mirrors that pods use and the mirrors lack. It keeps no state in the cluster:
 * a new leader checks all images again, and an image that is on its mirror costs one HEAD request.
 */
import { createNotifier } from '../async/notifier.ts'
import { longestDelayMs, sleep } from '../async/sleep.ts'
import type { VerifyRule } from '../config/config.ts'
import type { FallbackTable } from '../decision/fallback/table.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { Refusals } from '../kube/refusals.ts'
import { type Backlog, copyOrder, createBacklog } from '../mirror/backlog.ts'
import type { BlobLocations } from '../mirror/blob-copy.ts'
import { findDrift, findPresent } from '../mirror/drift.ts'
import type { ImagePair } from '../mirror/image-pair.ts'
import type { CopyResult } from '../mirror/copy-result.ts'
import type { CreateRepository } from '../mirror/copy-blobs.ts'
import { mirrorImages, type MirrorOptions } from '../mirror/mirror-images.ts'
import { createTreeCache, type TreeCache } from '../mirror/image-tree.ts'
import { isOnMirror, type MirrorState } from '../mirror/mirror-state.ts'
import { createImageVerifier, type ImageVerifier } from '../mirror/verify-image.ts'
import { findWantedImages, mirrorNames } from '../mirror/wanted-images.ts'
import { formatReference } from '../decision/reference/reference.ts'
import type { ImageStore } from '../registry/images/image-store.ts'
import { createRegistryStore } from '../registry/images/registry-store.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import type { Logger } from '../telemetry/log.ts'
import type { MirrorMetrics } from '../telemetry/mirror-metrics.ts'
import { type MirrorPods, watchMirrorPods } from './mirror-pods.ts'
import type { Loop } from './runtime/loops.ts'

export interface MirrorLoopDependencies {
  readonly api: KubeApi
  readonly refusals?: Refusals | undefined
  readonly table: FallbackTable
  readonly settings: {
    /** Empty for all namespaces. */
    readonly namespaces: readonly string[]
    readonly atOnce: number
    readonly quotaFloor: number
    readonly referrers: boolean
    readonly foreignLayers: boolean
    readonly verify: readonly VerifyRule[]
  }
  readonly openRegistries: () => RegistryClient
  /** Null if Berth may not create repositories. */
  readonly createRepository: CreateRepository | null
  readonly log: Logger
  readonly metrics: MirrorMetrics
}

/** A rollout creates many pods with the same image within this time, so that they are handled together. */
const gatherMs = 500

/** A check sends only HEAD requests. */
const concurrentChecks = 8

/** The state of one run of the loop. */
interface MirrorRun extends MirrorLoopDependencies {
  readonly images: ImageStore
  readonly backlog: Backlog
  readonly pods: MirrorPods
  readonly verifier: ImageVerifier
  /** The last state of each image that the log has, unless the mirror has the image. */
  readonly loggedStates: Map<string, MirrorState>
  readonly signal: AbortSignal
}

export function createMirrorLoop(dependencies: MirrorLoopDependencies): Loop {
  return {
    name: 'mirror',
    async run(signal) {
      const images = createRegistryStore(dependencies.openRegistries())
      const podsChanged = createNotifier()
      const backlog = createBacklog()
      try {
        const pods = watchMirrorPods(dependencies, () => podsChanged.notify(), signal)
        await pods.synced
        const loggedStates = new Map<string, MirrorState>()
        const verifier = createImageVerifier(dependencies.settings.verify)
        const own = { images, backlog, pods, verifier, loggedStates, signal }
        const run: MirrorRun = { ...dependencies, ...own }
        while (!signal.aborted) {
          await mirrorMissingImages(run)
          await podsChanged.wait(backlog.msUntilDue(Date.now()) ?? longestDelayMs, signal)
          await sleep(gatherMs, signal)
        }
      } finally {
        // The next leader counts them.
        backlog.setWanted({ wanted: new Map(), conflicts: new Map() })
        updateMetrics({ ...dependencies, backlog }, 0)
        await images.close()
      }
    },
  }
}

/** What the copies of one pass share. */
interface CopyState {
  readonly blobLocations: BlobLocations
  readonly trees: TreeCache
}

/** Checks and copies until no image is missing. Reads the pods again after each few copies, so that small images come first. */
async function mirrorMissingImages(run: MirrorRun): Promise<void> {
  const { backlog, signal, settings } = run
  const state: CopyState = {
    blobLocations: new Map(),
    trees: createTreeCache(),
  }
  /** The images to copy, with the bytes that each one needs. */
  const queue = new Map<string, number>()
  while (!signal.aborted) {
    readPods(run)
    for (const key of queue.keys()) if (!backlog.wanted.has(key)) queue.delete(key)
    const due = backlog.due(Date.now()).filter((key) => !queue.has(key))
    const planned = await planBytes(run, state, await findMissing(run, due))
    for (const { key, bytes } of planned) queue.set(key, bytes)
    updateMetrics(run, queue.size)
    if (queue.size === 0) return
    const next = copyOrder(queue, backlog.wanted).slice(0, settings.atOnce)
    await copyImages(run, state, next)
    for (const key of next) queue.delete(key)
  }
}

/** Updates the backlog with the images that the pods need, and with those that pods are waiting for. */
function readPods({ backlog, log, loggedStates, pods, table }: MirrorRun): void {
  const images = findWantedImages(table, pods.items())
  backlog.setWanted(images)
  for (const key of loggedStates.keys())
    if (!images.wanted.has(key) && !images.conflicts.has(key)) loggedStates.delete(key)
  for (const [key, { pair }] of images.conflicts) {
    if (loggedStates.has(key)) continue
    loggedStates.set(key, 'conflict')
    const problem =
      'another image has this name on the mirror; use {host} in the template of the row'
    log.warn({ ...namesOf(pair), state: 'conflict', problem }, 'image not mirrored')
  }
  for (const pod of pods.takeWaiting())
    for (const key of mirrorNames(table, pod)) backlog.podNeeds(key, Date.now())
}

/** Returns the images that exist upstream and not on their mirror. */
async function findMissing(run: MirrorRun, keys: readonly string[]): Promise<readonly string[]> {
  const { backlog, images, signal } = run
  const drifts = await findDrift(images, pairsOf(backlog, await findDoubtful(run, keys)), {
    signal,
    jobs: concurrentChecks,
    platforms: false,
    copiedDigests: () => null,
  })
  if (signal.aborted) return []
  return drifts.flatMap((drift) => {
    const key = formatReference(drift.pair.destination)
    backlog.recordDrift(key, drift, Date.now())
    logState(run, drift.pair, drift.detail)
    return backlog.stateOf(key) === 'waiting' ? [key] : []
  })
}

/** Returns the images to compare with upstream: all except those that only pods ask about, and that are on the mirror. */
async function findDoubtful(
  { backlog, images, signal }: MirrorRun,
  keys: readonly string[],
): Promise<readonly string[]> {
  const onMirror = keys.filter((key) => backlog.needsMirrorOnly(key, Date.now()))
  const present = await findPresent(images, pairsOf(backlog, onMirror), {
    signal,
    jobs: concurrentChecks,
  })
  const names = new Set(present.map(({ destination }) => formatReference(destination)))
  for (const name of names) backlog.recordPresent(name, Date.now())
  return keys.filter((key) => !names.has(key))
}

/** Returns the bytes that each copy needs. An image that cannot be planned counts as failed. */
async function planBytes(
  run: MirrorRun,
  state: CopyState,
  keys: readonly string[],
): Promise<readonly { readonly key: string; readonly bytes: number }[]> {
  const pairs = pairsOf(run.backlog, keys)
  const results = await runMirror(run, state, { pairs, dryRun: true })
  return results.flatMap((result) => {
    const key = formatReference(result.pair.destination)
    if (result.status !== 'failed') return [{ key, bytes: result.bytesMoved }]
    recordResult(run, result)
    return []
  })
}

async function copyImages(
  run: MirrorRun,
  state: CopyState,
  keys: readonly string[],
): Promise<void> {
  const pairs = pairsOf(run.backlog, keys)
  const results = await runMirror(run, state, { pairs, dryRun: false })
  for (const result of results) recordResult(run, result)
}

function runMirror(
  { images, createRepository, verifier, settings, signal }: MirrorRun,
  state: CopyState,
  { pairs, dryRun }: { readonly pairs: readonly ImagePair[] } & Pick<MirrorOptions, 'dryRun'>,
): Promise<readonly CopyResult[]> {
  const ignore = () => undefined
  return mirrorImages(
    {
      sources: images,
      destinations: images,
      createRepository,
      verifier,
      now: () => performance.now(),
      ...state,
    },
    pairs,
    {
      signal,
      deep: true,
      dryRun,
      quotaFloor: settings.quotaFloor,
      referrers: settings.referrers,
      foreignLayers: settings.foreignLayers,
      jobs: settings.atOnce,
      progress: { started: ignore, planned: ignore, moved: ignore, finished: ignore },
    },
  )
}

/** Records the result in the backlog, the metrics and the log. */
function recordResult(run: MirrorRun, result: CopyResult): void {
  const { backlog, metrics, log, signal } = run
  if (signal.aborted) return
  const { pair, status, detail, outcome, mirrorDigest, bytesMoved, seconds } = result
  const image = formatReference(pair.destination)
  backlog.recordCopy(image, result, Date.now())
  logState(run, pair, detail)
  if (status === 'failed') {
    metrics.failed(outcome ?? 'invalid')
    return
  }
  metrics.copied(bytesMoved)
  log.info({ image, digest: mirrorDigest, bytes: bytesMoved, seconds }, 'image mirrored')
}

/** Logs why the mirror lacks an image, or has another one than upstream: once for each state. */
function logState(
  { backlog, log, loggedStates }: MirrorRun,
  pair: ImagePair,
  problem: string | null,
): void {
  const key = formatReference(pair.destination)
  const state = backlog.stateOf(key)
  if (state === 'waiting' || loggedStates.get(key) === state) return
  if (state === 'mirrored') {
    loggedStates.delete(key)
    return
  }
  loggedStates.set(key, state)
  if (isOnMirror(state)) log.info({ ...namesOf(pair), state }, 'mirror differs from upstream')
  else log.warn({ ...namesOf(pair), state, problem }, 'image not mirrored')
}

function namesOf({ source, destination }: ImagePair): { image: string; from: string } {
  return { image: formatReference(destination), from: formatReference(source) }
}

function pairsOf({ wanted }: Backlog, keys: readonly string[]): readonly ImagePair[] {
  return keys.flatMap((key) => wanted.get(key)?.pair ?? [])
}

function updateMetrics(
  { backlog, metrics }: Pick<MirrorRun, 'backlog' | 'metrics'>,
  missing: number,
): void {
  const { states, drifted, oldestDriftMs } = backlog.counts(Date.now())
  metrics.images(states, states.mirrored + states.drifted)
  metrics.backlog(missing)
  metrics.drift(drifted, oldestDriftMs / 1000)
}
