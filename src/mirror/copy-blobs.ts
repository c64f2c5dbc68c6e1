/** Copies all blobs of an image to a repository, and creates the repository if that is needed. */
import type { Limit } from '../async/limit.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import type { ImageRepository } from '../registry/images/image-store.ts'
import { type BlobCopyOptions, type BlobLocations, copyBlob } from './blob-copy.ts'
import type { CopyResult } from './copy-result.ts'
import type { TreeBlob } from './image-tree.ts'

export interface BlobDependencies {
  readonly blobLocations: BlobLocations
  /** Limits concurrent blob copies over all images of the run. */
  readonly blobLimit: Limit
  /** Creates missing repositories on registries that need it; null if that is not allowed. */
  readonly createRepository: CreateRepository | null
}

/** Returns false if it cannot create repositories on this registry. Throws RegistryError. */
export type CreateRepository = (host: string, name: string, signal: AbortSignal) => Promise<boolean>

type BlobRoute = Pick<BlobCopyOptions, 'from' | 'to'>

interface BlobList {
  readonly blobs: readonly TreeBlob[]
  readonly signal: AbortSignal
}

type ByteCounts = Pick<CopyResult, 'bytesMoved' | 'bytesThere'>

/** Counts the bytes that the destination lacks as `bytesMoved`. */
export async function countMissing(
  { blobLimit }: Pick<BlobDependencies, 'blobLimit'>,
  to: ImageRepository,
  { blobs, signal }: BlobList,
): Promise<ByteCounts> {
  const isPresent = await Promise.all(
    blobs.map((blob) => blobLimit(() => to.hasBlob(blob, signal))),
  )
  const bytesThere = totalSize(blobs.filter((_, index) => isPresent[index]))
  return { bytesMoved: totalSize(blobs) - bytesThere, bytesThere }
}

type BlobListToCopy = BlobList & Pick<BlobCopyOptions, 'onBytes' | 'foreignLayers'>

/** Copies the blobs. If the repository does not exist, creates it where that is possible, and tries once more. */
export async function copyToRepository(
  dependencies: BlobDependencies,
  route: BlobRoute,
  options: BlobListToCopy,
): Promise<ByteCounts> {
  try {
    return await copyBlobs(dependencies, route, options)
  } catch (error) {
    if (!(error instanceof RegistryError) || error.code !== 'NAME_UNKNOWN') throw error
    const { host, name } = route.to
    const isCreated = await dependencies.createRepository?.(host, name, options.signal)
    if (isCreated === true) return copyBlobs(dependencies, route, options)
    const detail = `${host} has no repository ${name} and does not create repositories on push; create it (${error.message})`
    throw new RegistryError({ outcome: 'denied', detail }, error)
  }
}

async function copyBlobs(
  { blobLimit, blobLocations }: BlobDependencies,
  { from, to }: BlobRoute,
  { blobs, signal, onBytes, foreignLayers = false }: BlobListToCopy,
): Promise<ByteCounts> {
  const stop = new AbortController()
  const options = {
    from,
    to,
    signal: AbortSignal.any([signal, stop.signal]),
    limit: blobLimit,
    onBytes,
    foreignLayers,
  }
  const copies = blobs.map(async (blob) => {
    const outcome = await copyBlob(blobLocations, options, blob)
    if (outcome !== 'uploaded') onBytes(blob.size)
    return outcome === 'uploaded'
  })
  try {
    const isUploaded = await Promise.all(copies)
    const bytesMoved = totalSize(blobs.filter((_, index) => isUploaded[index]))
    return { bytesMoved, bytesThere: totalSize(blobs) - bytesMoved }
  } catch (error) {
    // Let the other copies cancel their uploads first.
    stop.abort()
    await Promise.allSettled(copies)
    throw error
  }
}

export function totalSize(blobs: readonly TreeBlob[]): number {
  return blobs.reduce((total, { size }) => total + size, 0)
}
