/** All pairs of one run: a bounded number at a time, each to its own result; one that fails does not stop the rest. */
import { setFlagsFromString } from 'node:v8'
import { RegistryError } from '../registry/http/registry-error.ts'
import { listTags } from '../registry/manifests/tags.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import { type BlobLocations, createBlobLocations } from './blob-copy.ts'
import { copyImage, type CopyOptions, type CreateRepository } from './copy-image.ts'
import { createLimit } from '../async/limit.ts'
import { similarTags } from './similar-tags.ts'
import type { ImagePair } from './image-pair.ts'
import type { CopyResult } from './copy-result.ts'
import type { ManifestNode } from './image-tree.ts'

export interface MirrorDependencies {
  readonly registries: RegistryClient
  /** Milliseconds, only for telling how long things took. */
  readonly now: () => number
  /** What is known of blobs from a run just before; a new one when left out. */
  readonly blobLocations?: BlobLocations
  /** Images that a dry run has read, for the run after it. */
  readonly trees?: Map<string, ManifestNode>
  readonly createRepository?: CreateRepository | null
}

/** Told what happens, as it happens. */
export interface ProgressListener {
  started(pair: ImagePair): void
  /** How many bytes the image has. */
  planned(pair: ImagePair, bytes: number): void
  /** That many bytes more are at the mirror; fewer after a cut. */
  moved(pair: ImagePair, bytes: number): void
  finished(result: CopyResult): void
}

export interface MirrorOptions extends Pick<
  CopyOptions,
  'signal' | 'deep' | 'dryRun' | 'quotaFloor' | 'referrers'
> {
  /** Images at once. */
  readonly jobs: number
  readonly progress: ProgressListener
}

/** With two images' worth of blobs for each image: one is read while the other's end is being stored. */
const blobsPerJob = 2

/** Copies every pair. Results are in the pairs' order. Never throws for a registry's sake. */
export async function mirrorImages(
  given: MirrorDependencies,
  pairs: readonly ImagePair[],
  options: MirrorOptions,
): Promise<readonly CopyResult[]> {
  const { jobs, progress, ...rest } = options
  keepYoungSpaceSmall()
  const images = createLimit(jobs)
  const blobLimit = createLimit(jobs * blobsPerJob)
  const { registries, now } = given
  const dependencies = {
    blobLocations: createBlobLocations(),
    trees: new Map(),
    createRepository: null,
    ...given,
    blobLimit,
  }

  const one = async (pair: ImagePair): Promise<CopyResult> => {
    const began = now()
    const seconds = () => Math.round(now() - began) / 1000
    if (options.signal.aborted) return failure(pair, stopped, 0)
    progress.started(pair)
    try {
      const result = await copyImage(dependencies, pair, {
        ...rest,
        onPlanned: (bytes) => progress.planned(pair, bytes),
        onBytes: (bytes) => progress.moved(pair, bytes),
      })
      return { pair, ...result, seconds: seconds() }
    } catch (error) {
      if (options.signal.aborted) return failure(pair, stopped, seconds())
      if (!(error instanceof RegistryError)) throw error
      const tags =
        error.outcome === 'absent' ? await tagsFor(registries, pair, options.signal) : null
      return { ...failure(pair, error, seconds()), ...(tags === null ? {} : { tags }) }
    }
  }
  return Promise.all(
    pairs.map((pair) =>
      images(async () => {
        const result = await one(pair)
        progress.finished(result)
        return result
      }),
    ),
  )
}

/**
 * What streams through are buffers that are dead at once. V8 lets the space for young objects grow under them, and they
 * with it: without this a copy takes 70 MB more, whatever the size of the image. The flag is read at each collection.
 */
function keepYoungSpaceSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
}

const stopped = { outcome: 'skipped', message: 'stopped' } as const

function failure(
  pair: ImagePair,
  { outcome, message }: Pick<RegistryError, 'outcome' | 'message'>,
  seconds: number,
): CopyResult {
  return {
    pair,
    status: 'failed',
    sourceDigest: null,
    mirrorDigest: null,
    platforms: [],
    bytesMoved: 0,
    bytesThere: 0,
    seconds,
    detail: message,
    outcome,
  }
}

/** What there is instead of a tag that is not there, the likeliest first; null when that cannot be told. */
async function tagsFor(
  registries: RegistryClient,
  { source }: ImagePair,
  signal: AbortSignal,
): Promise<readonly string[] | null> {
  if (source.tag === null || source.digest !== null) return null
  try {
    const repository = await registries.open(source.domain, source.path, 'pull')
    const tags = await listTags(repository, signal)
    return tags === null || tags.includes(source.tag) ? null : similarTags(source.tag, tags)
  } catch (error) {
    if (error instanceof RegistryError || signal.aborted) return null
    throw error
  }
}
