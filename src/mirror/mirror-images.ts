/** Copies all images of one run, several at a time. One that fails does not stop the others. */
import { createLimit } from '../async/limit.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import type { ImageStore } from '../registry/images/image-store.ts'
import { similarTags } from '../text/similar-tags.ts'
import type { BlobLocations } from './blob-copy.ts'
import type { CreateRepository } from './copy-blobs.ts'
import { copyImage, type CopyOptions } from './copy-image.ts'
import type { CopyOutcome, CopyResult } from './copy-result.ts'
import type { ImagePair } from './image-pair.ts'
import { ImageRefusedError } from './image-refused.ts'
import { createTreeCache, MissingManifestError, type TreeCache } from './image-tree.ts'
import type { ImageVerifier } from './verify-image.ts'

export interface MirrorDependencies {
  readonly sources: ImageStore
  readonly destinations: ImageStore
  /** Milliseconds, for durations only. */
  readonly now: () => number
  /** The blobs that an earlier run copied; default: none. */
  readonly blobLocations?: BlobLocations
  /** The trees that a dry run read, for the copy after it; default: none. */
  readonly trees?: TreeCache
  readonly createRepository?: CreateRepository | null
  /** What to verify before each copy; null for nothing. */
  readonly verifier: ImageVerifier | null
}

/** Receives the progress of each image. */
export interface ProgressListener {
  started(pair: ImagePair): void
  /** Receives the size of the image in bytes. */
  planned(pair: ImagePair, bytes: number): void
  /** Receives how many more bytes the mirror has; a negative number after an interruption. */
  moved(pair: ImagePair, bytes: number): void
  finished(result: CopyResult): void
}

export interface MirrorOptions extends Pick<
  CopyOptions,
  | 'signal'
  | 'deep'
  | 'dryRun'
  | 'quotaFloor'
  | 'referrers'
  | 'allowMissingAttestations'
  | 'foreignLayers'
  | 'platforms'
> {
  /** Images copied at once. */
  readonly jobs: number
  /** Whether the referrers of an image are copied although `referrers` is false; default: they are not. */
  readonly needsReferrers?: (pair: ImagePair) => boolean
  readonly progress: ProgressListener
}

/** Two, so that one blob is downloaded while the registry still stores the end of another. */
const blobsPerJob = 2

/** Copies every pair. Returns the results in the order of the pairs. Never throws because of a registry. */
export function mirrorImages(
  dependencies: MirrorDependencies,
  pairs: readonly ImagePair[],
  options: MirrorOptions,
): Promise<readonly CopyResult[]> {
  const { jobs, progress, signal } = options
  const imageLimit = createLimit(jobs)
  const copyDependencies = {
    blobLocations: new Map(),
    trees: createTreeCache(),
    createRepository: null,
    ...dependencies,
    blobLimit: createLimit(jobs * blobsPerJob),
  }

  const copy = async (pair: ImagePair): Promise<CopyResult> => {
    const startedAt = dependencies.now()
    const seconds = () => Math.round(dependencies.now() - startedAt) / 1000
    if (signal.aborted) return failure(pair, stopped, 0)
    progress.started(pair)
    try {
      const result = await copyImage(copyDependencies, pair, {
        ...options,
        referrers: options.referrers || options.needsReferrers?.(pair) === true,
        onPlanned: (bytes) => progress.planned(pair, bytes),
        onBytes: (bytes) => progress.moved(pair, bytes),
      })
      return { pair, ...result, seconds: seconds() }
    } catch (error) {
      if (signal.aborted) return failure(pair, stopped, seconds())
      if (error instanceof ImageRefusedError) {
        const { message, code, rule } = error
        return {
          ...failure(pair, { outcome: 'refused', message }, seconds()),
          refusal: { code, rule },
        }
      }
      if (!(error instanceof RegistryError)) throw error
      const isAbsent = error.outcome === 'absent' && !(error instanceof MissingManifestError)
      const tags = isAbsent ? await findSimilarTags(dependencies.sources, pair, signal) : null
      return { ...failure(pair, error, seconds()), ...(tags === null ? {} : { tags }) }
    }
  }
  return Promise.all(
    pairs.map((pair) =>
      imageLimit(async () => {
        const result = await copy(pair)
        progress.finished(result)
        return result
      }),
    ),
  )
}

/** Returns the results of a dry run that asks no registry: every image is planned, and no digest and size is known. */
export function planWithoutProbing(pairs: readonly ImagePair[]): readonly CopyResult[] {
  return pairs.map((pair) => ({ ...nothingKnown, pair, status: 'planned' }))
}

const nothingKnown = {
  sourceDigest: null,
  mirrorDigest: null,
  platforms: [],
  missingAttestations: [],
  bytesMoved: 0,
  bytesThere: 0,
  seconds: 0,
  detail: null,
} as const

const stopped = { outcome: 'skipped', message: 'stopped' } as const

function failure(
  pair: ImagePair,
  { outcome, message }: { readonly outcome: CopyOutcome; readonly message: string },
  seconds: number,
): CopyResult {
  return { ...nothingKnown, pair, status: 'failed', seconds, detail: message, outcome }
}

/** Returns the existing tags if only the tag of the source does not exist, the most similar first; else null. */
async function findSimilarTags(
  sources: ImageStore,
  { source }: ImagePair,
  signal: AbortSignal,
): Promise<readonly string[] | null> {
  if (source.tag === null || source.digest !== null) return null
  try {
    const repository = await sources.open(source.domain, source.path, 'pull')
    const tags = await repository.listTags(signal)
    return tags === null || tags.includes(source.tag) ? null : similarTags(source.tag, tags)
  } catch (error) {
    if (error instanceof RegistryError || signal.aborted) return null
    throw error
  }
}
