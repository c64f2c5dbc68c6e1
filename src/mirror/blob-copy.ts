/** Copies blobs. In one run, each blob is transferred once to each registry, however many images share it. */
import type { Limit } from '../async/limit.ts'
import { shortDigest } from '../registry/digest.ts'
import { failed } from '../registry/http/network-error.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import { displayHost } from '../registry/http/urls.ts'
import type { ImageRepository } from '../registry/images/image-store.ts'
import type { TreeBlob } from './image-tree.ts'

export type BlobCopyOutcome = 'present' | 'mounted' | 'uploaded'

/**
 * The repositories that this run copied blobs to, by registry and digest. A pending promise is a copy in progress; null means
 * that it failed.
 */
export type BlobLocations = Map<string, Promise<string | null>>

export interface BlobCopyOptions {
  readonly from: ImageRepository
  readonly to: ImageRepository
  readonly signal: AbortSignal
  /** Limits concurrent copies. A copy that waits for the same blob of another image does not count. */
  readonly limit: Limit
  readonly onBytes: (bytes: number) => void
  /** True: downloads a foreign layer that the source does not have from its vendor. Default: false. */
  readonly foreignLayers?: boolean
}

/** Copies a blob in the cheapest way that works: not at all, mounted, or uploaded. Throws RegistryError. */
export async function copyBlob(
  locations: BlobLocations,
  options: BlobCopyOptions,
  blob: TreeBlob,
): Promise<BlobCopyOutcome> {
  const { to, limit } = options
  const key = `${to.host} ${blob.digest}`
  const location = await locations.get(key)
  if (location === to.name) return 'present'
  if (location !== undefined && location !== null) {
    return limit(() => copyFromNeighbor(options, blob, location))
  }
  // Another image may have started to copy the blob during the `await` above.
  if (locations.has(key) && location === undefined) return copyBlob(locations, options, blob)
  const copy = limit(() => copyFromSource(options, blob))
  locations.set(
    key,
    copy.then(
      () => to.name,
      () => null,
    ),
  )
  return copy
}

/** Mounts a blob that this run copied to another repository of the same store. */
async function copyFromNeighbor(
  options: BlobCopyOptions,
  blob: TreeBlob,
  neighbor: string,
): Promise<BlobCopyOutcome> {
  return options.to.canMount ? put(options, blob, neighbor) : copyFromSource(options, blob)
}

async function copyFromSource(options: BlobCopyOptions, blob: TreeBlob): Promise<BlobCopyOutcome> {
  const { from, to, signal } = options
  signal.throwIfAborted()
  if (await to.hasBlob(blob, signal)) return 'present'
  const canMount = from.host === to.host && from.name !== to.name
  return put(options, blob, canMount ? from.name : null)
}

function put(
  options: BlobCopyOptions,
  blob: TreeBlob,
  mountFrom: string | null,
): Promise<BlobCopyOutcome> {
  const { from, to, signal, onBytes } = options
  const open = async () =>
    from.blobSource(blob, { signal, url: await findVendorUrl(options, blob) })
  return to.putBlob(blob, { mountFrom, open, signal, onBytes })
}

/** Returns where a foreign layer that the source does not have is; null for every other blob. Throws RegistryError. */
async function findVendorUrl(
  { from, signal, foreignLayers = false }: BlobCopyOptions,
  blob: TreeBlob,
): Promise<URL | null> {
  const { vendorUrls } = blob
  if (vendorUrls === undefined || (await from.hasBlob(blob, signal))) return null
  const [url] = vendorUrls
  if (url !== undefined && foreignLayers) return url
  const fix =
    url === undefined
      ? 'its manifest has no URL for it'
      : `--foreign-layers downloads it from ${displayHost(url)}`
  const name = `layer ${shortDigest(blob.digest)}`
  const detail = `${from.host} does not have ${name}, a foreign layer; ${fix}`
  throw new RegistryError(failed('invalid', detail))
}
