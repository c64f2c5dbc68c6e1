/**
 * The controller loop that copies images to the mirrors that pods use and the mirrors lack. It keeps no state in the cluster:
 * a new leader checks all images again, and an image that is on its mirror costs one HEAD request.
 */
import { createNotifier } from '../async/notifier.ts'
import { longestDelayMs, sleep } from '../async/sleep.ts'
import { type PodContext, podInNamespace } from '../decision/fallback/pod-context.ts'
import type { FallbackTable } from '../decision/fallback/table.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { KubeObject } from '../kube/object.ts'
import { startInformer, type Informer } from '../kube/informer.ts'
import { type Backlog, createBacklog, copyOrder, type BacklogImage } from '../mirror/backlog.ts'
import type { BlobLocations } from '../mirror/blob-copy.ts'
import { findDrift } from '../mirror/drift.ts'
import type { ImagePair } from '../mirror/image-pair.ts'
import { planCopies } from '../mirror/copy-plan.ts'
import { imagesOfPod } from '../mirror/pod-images.ts'
import type { CopyResult } from '../mirror/copy-result.ts'
import type { CreateRepository } from '../mirror/copy-image.ts'
import { mirrorImages, type MirrorOptions } from '../mirror/mirror-images.ts'
import { createTreeCache, type TreeCache } from '../mirror/image-tree.ts'
import { readPodContext } from '../decision/pod/pod-context.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference } from '../decision/reference/reference.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import type { Logger } from '../telemetry/log.ts'
import type { MirrorMetrics } from '../telemetry/mirror-metrics.ts'
import type { Loop } from './runtime/loops.ts'

export interface MirrorLoopDependencies {
  readonly api: KubeApi
  readonly table: FallbackTable
  readonly settings: {
    /** Empty for all namespaces. */
    readonly namespaces: readonly string[]
    readonly atOnce: number
    readonly quotaFloor: number
    readonly referrers: boolean
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

interface PodImages {
  readonly images: readonly string[]
  readonly pod: PodContext
}

/** The state of one run of the loop. */
interface MirrorRun extends MirrorLoopDependencies {
  readonly registries: RegistryClient
  readonly backlog: Backlog
  readonly signal: AbortSignal
}

export function createMirrorLoop(dependencies: MirrorLoopDependencies): Loop {
  return {
    name: 'mirror',
    async run(signal) {
      const registries = dependencies.openRegistries()
      const podsChanged = createNotifier()
      try {
        const pods = startPodInformers(dependencies, () => podsChanged.notify(), signal)
        await Promise.all(pods.map(({ synced }) => synced))
        const run: MirrorRun = { ...dependencies, registries, backlog: createBacklog(), signal }
        while (!signal.aborted) {
          await mirrorMissingImages(run, pods)
          await podsChanged.wait(run.backlog.msUntilDue(Date.now()) ?? longestDelayMs, signal)
          await sleep(gatherMs, signal)
        }
      } finally {
        await registries.close()
      }
    },
  }
}

function startPodInformers(
  { api, table, settings, log }: MirrorLoopDependencies,
  onChange: () => void,
  signal: AbortSignal,
): readonly Informer<PodImages>[] {
  const all = { apiVersion: 'v1', resource: 'pods' }
  const refs =
    settings.namespaces.length === 0
      ? [all]
      : settings.namespaces.map((namespace) => ({ ...all, namespace }))
  return refs.map((ref) =>
    startInformer<KubeObject, PodImages>(api, {
      ref,
      // A pod in one of these two phases never runs again.
      selection: { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' },
      transform: (pod) => ({
        images: imagesOfPod(pod),
        pod: contextToKeep(table, pod),
      }),
      onChange,
      onError: (error) => log.warn({ problem: String(error) }, 'pod watch failed'),
      signal,
    }),
  )
}

/** The informer keeps this for every pod, so it has labels and owners only if rows look at them. */
function contextToKeep({ index }: FallbackTable, pod: KubeObject): PodContext {
  const namespace = pod.metadata.namespace ?? ''
  return index.hasConditions ? readPodContext(pod, namespace) : podInNamespace(namespace)
}

/** What the copies of one pass share. */
interface CopyState {
  readonly blobLocations: BlobLocations
  readonly trees: TreeCache
}

/** Checks and copies until no image is missing. Reads the pods again after each few copies, so that small images come first. */
async function mirrorMissingImages(
  run: MirrorRun,
  pods: readonly Informer<PodImages>[],
): Promise<void> {
  const { backlog, signal, settings } = run
  const state: CopyState = {
    blobLocations: new Map(),
    trees: createTreeCache(),
  }
  /** The images to copy, with the bytes that each one needs. */
  const queue = new Map<string, number>()
  while (!signal.aborted) {
    backlog.setWanted(wantedImages(run.table, pods))
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

/** Returns the images of all pods that the table wants on a mirror, by their name there. */
function wantedImages(
  table: FallbackTable,
  pods: readonly Informer<PodImages>[],
): ReadonlyMap<string, BacklogImage> {
  const wanted = new Map<string, BacklogImage>()
  for (const { images, pod } of pods.flatMap(({ items }) => [...items.values()])) {
    const references = images.flatMap((image) => {
      const parsed = parseReference(image)
      return parsed.ok ? [{ reference: parsed.reference, pod }] : []
    })
    for (const pair of planCopies(table, references).pairs) {
      const key = formatReference(pair.destination)
      const before = wanted.get(key)
      // Of two upstream images with one name on the mirror the first one stays, as with `berth mirror`.
      wanted.set(key, { pair: before?.pair ?? pair, uses: (before?.uses ?? 0) + 1 })
    }
  }
  return wanted
}

/** Returns the images that exist upstream and not on their mirror. */
async function findMissing(run: MirrorRun, keys: readonly string[]): Promise<readonly string[]> {
  const { backlog, registries, signal } = run
  const drifts = await findDrift(registries, pairsOf(backlog, keys), {
    signal,
    jobs: concurrentChecks,
    platforms: false,
    copiedDigests: () => null,
  })
  if (signal.aborted) return []
  return drifts.flatMap((drift) => {
    const key = formatReference(drift.pair.destination)
    backlog.recordDrift(key, drift, Date.now())
    return drift.state === 'mirror-missing' && drift.sourceDigest !== null ? [key] : []
  })
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
  { registries, createRepository, settings, signal }: MirrorRun,
  state: CopyState,
  { pairs, dryRun }: { readonly pairs: readonly ImagePair[] } & Pick<MirrorOptions, 'dryRun'>,
): Promise<readonly CopyResult[]> {
  const ignore = () => undefined
  return mirrorImages(
    { registries, createRepository, now: () => performance.now(), ...state },
    pairs,
    {
      signal,
      deep: true,
      dryRun,
      quotaFloor: settings.quotaFloor,
      referrers: settings.referrers,
      jobs: settings.atOnce,
      progress: { started: ignore, planned: ignore, moved: ignore, finished: ignore },
    },
  )
}

/** Records the result in the backlog, the metrics and the log. */
function recordResult({ backlog, metrics, log, signal }: MirrorRun, result: CopyResult): void {
  if (signal.aborted) return
  const { pair, status, detail, outcome, mirrorDigest, bytesMoved, seconds } = result
  const image = formatReference(pair.destination)
  backlog.recordCopy(image, result, Date.now())
  if (status === 'failed') {
    metrics.failed(outcome ?? 'invalid')
    log.warn({ image, from: formatReference(pair.source), problem: detail }, 'image not mirrored')
    return
  }
  metrics.copied(bytesMoved)
  log.info({ image, digest: mirrorDigest, bytes: bytesMoved, seconds }, 'image mirrored')
}

function pairsOf({ wanted }: Backlog, keys: readonly string[]): readonly ImagePair[] {
  return keys.flatMap((key) => wanted.get(key)?.pair ?? [])
}

function updateMetrics({ backlog, metrics }: MirrorRun, missing: number): void {
  const { mirrored, drifted, oldestDriftMs } = backlog.counts(Date.now())
  metrics.coverage(backlog.wanted.size, mirrored)
  metrics.backlog(missing)
  metrics.drift(drifted, oldestDriftMs / 1000)
}
