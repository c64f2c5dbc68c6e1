/**
 * Brings to the mirrors what pods run and the mirrors lack, in the background. The pods are the queue: whoever leads
 * looks at them anew, and what is there already costs a HEAD. Nothing is written to the cluster.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { FallbackTable } from '../decision/fallback/table.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { KubeObject } from '../kube/object.ts'
import { startInformer, type Informer } from '../kube/informer.ts'
import { type Backlog, createBacklog, copyOrder, type BacklogImage } from '../mirror/backlog.ts'
import { type BlobLocations, createBlobLocations } from '../mirror/blob-copy.ts'
import { findDrift } from '../mirror/drift.ts'
import type { ImagePair } from '../mirror/image-pair.ts'
import { planCopies } from '../mirror/copy-plan.ts'
import { imagesOfPod } from '../mirror/pod-images.ts'
import type { CopyResult } from '../mirror/copy-result.ts'
import type { CreateRepository } from '../mirror/copy-image.ts'
import { mirrorImages, type MirrorOptions } from '../mirror/mirror-images.ts'
import type { ManifestNode } from '../mirror/image-tree.ts'
import { member } from '../json/json.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference } from '../decision/reference/reference.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import type { Logger } from '../telemetry/log.ts'
import type { MirrorMetrics } from '../telemetry/mirror-metrics.ts'
import type { Loop } from './runtime/loops.ts'

export interface MirrorLoopParts {
  readonly api: KubeApi
  readonly table: FallbackTable
  readonly settings: {
    /** Empty: all. */
    readonly namespaces: readonly string[]
    readonly atOnce: number
    readonly quotaFloor: number
    readonly referrers: boolean
  }
  readonly openRegistries: () => RegistryClient
  /** Null where repositories may not be made. */
  readonly createRepository: CreateRepository | null
  readonly log: Logger
  readonly metrics: MirrorMetrics
}

/** A rollout makes many pods of one image: they are waited for and looked at together. */
const gatherMs = 500

/** Looks at once: HEADs alone. */
const looksAtOnce = 8

interface PodImages {
  readonly images: readonly string[]
  readonly namespace: string
}

/** Everything that lives as long as one run of the loop. */
interface Work extends MirrorLoopParts {
  readonly registries: RegistryClient
  readonly backlog: Backlog
  readonly signal: AbortSignal
}

export function createMirrorLoop(parts: MirrorLoopParts): Loop {
  return {
    name: 'mirror',
    async run(signal) {
      const registries = parts.openRegistries()
      const bell = createNotifier()
      try {
        const pods = watchPods(parts, bell.ring, signal)
        await Promise.all(pods.map(({ synced }) => synced))
        const work: Work = { ...parts, registries, backlog: createBacklog(), signal }
        while (!signal.aborted) {
          await workOff(work, pods)
          await bell.wait(work.backlog.msUntilDue(Date.now()), signal)
          await sleep(gatherMs, undefined, { signal }).catch(() => undefined)
        }
      } finally {
        await registries.close()
      }
    },
  }
}

function watchPods(
  { api, settings, log }: MirrorLoopParts,
  onChange: () => void,
  signal: AbortSignal,
): readonly Informer<PodImages>[] {
  const all = { apiVersion: 'v1', resource: 'pods' }
  const places =
    settings.namespaces.length === 0
      ? [all]
      : settings.namespaces.map((namespace) => ({ ...all, namespace }))
  return places.map((ref) =>
    startInformer<KubeObject, PodImages>(api, {
      ref,
      // What has ended runs nothing any more (KEP-127 aside, these two phases are final).
      selection: { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' },
      transform: (pod) => {
        const namespace = member(member(pod, 'metadata'), 'namespace')
        return {
          images: imagesOfPod(pod),
          namespace: typeof namespace === 'string' ? namespace : '',
        }
      },
      onChange,
      onError: (error) => log.warn({ problem: String(error) }, 'watching pods'),
      signal,
    }),
  )
}

/** Looks and copies until nothing is left. After each few images pods are looked at anew, so that small ones overtake. */
async function workOff(work: Work, pods: readonly Informer<PodImages>[]): Promise<void> {
  const { backlog, signal, settings } = work
  const kept = { blobLocations: createBlobLocations(), trees: new Map<string, ManifestNode>() }
  /** What is to be copied, with the bytes that it takes. */
  const queue = new Map<string, number>()
  while (!signal.aborted) {
    backlog.setWanted(wantedBy(work.table, pods))
    for (const key of queue.keys()) if (!backlog.wanted.has(key)) queue.delete(key)
    const fresh = backlog.due(Date.now()).filter((key) => !queue.has(key))
    const planned = await plan(work, kept, await lookAt(work, fresh))
    for (const { key, bytes } of planned) queue.set(key, bytes)
    showCounts(work, queue.size)
    if (queue.size === 0) return
    const next = copyOrder(queue, backlog.wanted).slice(0, settings.atOnce)
    await copy(work, kept, next)
    for (const key of next) queue.delete(key)
  }
}

/** Every image of every pod that the table wants on a mirror, by its name there. */
function wantedBy(
  table: FallbackTable,
  pods: readonly Informer<PodImages>[],
): ReadonlyMap<string, BacklogImage> {
  const wanted = new Map<string, BacklogImage>()
  for (const { images, namespace } of pods.flatMap(({ items }) => [...items.values()])) {
    const references = images.flatMap((image) => {
      const parsed = parseReference(image)
      return parsed.ok ? [{ reference: parsed.reference, namespace }] : []
    })
    for (const pair of planCopies(table, references).pairs) {
      const key = formatReference(pair.destination)
      const known = wanted.get(key)
      // Two upstreams under one name: the first one's stays, as it does on a command line.
      wanted.set(key, { pair: known?.pair ?? pair, uses: (known?.uses ?? 0) + 1 })
    }
  }
  return wanted
}

/** Asks both sides; gives what a mirror lacks and upstream has. */
async function lookAt(work: Work, keys: readonly string[]): Promise<readonly string[]> {
  const { backlog, registries, signal } = work
  const drifts = await findDrift(registries, pairsOf(backlog, keys), {
    signal,
    jobs: looksAtOnce,
    platforms: false,
    seen: () => null,
  })
  if (signal.aborted) return []
  return drifts.flatMap((drift) => {
    const key = formatReference(drift.pair.destination)
    backlog.recordDrift(key, drift, Date.now())
    return drift.state === 'mirror-missing' && drift.sourceDigest !== null ? [key] : []
  })
}

interface Kept {
  readonly blobLocations: BlobLocations
  readonly trees: Map<string, ManifestNode>
}

/** How much each would take. What cannot even be planned has failed. */
async function plan(
  work: Work,
  kept: Kept,
  keys: readonly string[],
): Promise<readonly { readonly key: string; readonly bytes: number }[]> {
  const results = await run(work, kept, { pairs: pairsOf(work.backlog, keys), dryRun: true })
  return results.flatMap((result) => {
    const key = formatReference(result.pair.destination)
    if (result.status !== 'failed') return [{ key, bytes: result.bytesMoved }]
    finish(work, result)
    return []
  })
}

async function copy(work: Work, kept: Kept, keys: readonly string[]): Promise<void> {
  const results = await run(work, kept, { pairs: pairsOf(work.backlog, keys), dryRun: false })
  for (const result of results) finish(work, result)
}

function run(
  { registries, createRepository, settings, signal }: Work,
  kept: Kept,
  { pairs, dryRun }: { readonly pairs: readonly ImagePair[] } & Pick<MirrorOptions, 'dryRun'>,
): Promise<readonly CopyResult[]> {
  const nothing = () => undefined
  return mirrorImages(
    { registries, createRepository, now: () => performance.now(), ...kept },
    pairs,
    {
      signal,
      deep: true,
      dryRun,
      quotaFloor: settings.quotaFloor,
      referrers: settings.referrers,
      jobs: settings.atOnce,
      progress: { started: nothing, planned: nothing, moved: nothing, finished: nothing },
    },
  )
}

/** Tells of one image, and remembers what came of it. */
function finish({ backlog, metrics, log, signal }: Work, result: CopyResult): void {
  if (signal.aborted) return
  const { pair, status, detail, outcome, mirrorDigest, bytesMoved, seconds } = result
  const image = formatReference(pair.destination)
  backlog.recordCopy(image, result, Date.now())
  if (status === 'failed') {
    metrics.failed(outcome ?? 'invalid')
    log.warn({ image, from: formatReference(pair.source), problem: detail }, 'not mirrored')
    return
  }
  metrics.copied(bytesMoved)
  log.info({ image, digest: mirrorDigest, bytes: bytesMoved, seconds }, 'mirrored')
}

function pairsOf({ wanted }: Backlog, keys: readonly string[]): readonly ImagePair[] {
  return keys.flatMap((key) => wanted.get(key)?.pair ?? [])
}

function showCounts({ backlog, metrics }: Work, missing: number): void {
  const { there, drifted, oldestDriftMs } = backlog.counts(Date.now())
  metrics.coverage(backlog.wanted.size, there)
  metrics.backlog(missing)
  metrics.drift(drifted, oldestDriftMs / 1000)
}

interface Notifier {
  readonly ring: () => void
  /** Until it has rung since the last wait, so many milliseconds have passed, or the signal aborts. */
  wait(milliseconds: number | null, signal: AbortSignal): Promise<void>
}

function createNotifier(): Notifier {
  let hasRung = false
  let wake = () => {}
  return {
    ring: () => {
      hasRung = true
      wake()
    },
    async wait(milliseconds, signal) {
      if (!hasRung && !signal.aborted) {
        const rung = new Promise<void>((resolve) => (wake = resolve))
        const end = new AbortController()
        const within = AbortSignal.any([signal, end.signal])
        await Promise.race([
          rung,
          sleep(milliseconds ?? 2 ** 31 - 1, undefined, { signal: within }).catch(() => undefined),
        ])
        end.abort()
      }
      hasRung = false
    },
  }
}
