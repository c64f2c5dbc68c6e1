/** Blobs of one run: each goes over the wire once for each registry, however many images share it. */
import { type BlobDescriptor, createBlobSource } from '../registry/blobs/blob-source.ts'
import { hasBlob, mountBlob, uploadBlob } from '../registry/blobs/blob-upload.ts'
import type { Repository } from '../registry/registry-client.ts'
import type { Limit } from '../async/limit.ts'

export type BlobOutcome = 'there' | 'mounted' | 'moved'

/** Which repository of which registry has which blob, or is about to. */
export interface BlobLocations {
  readonly places: Map<string, Promise<string | null>>
}

export function createBlobLocations(): BlobLocations {
  return { places: new Map() }
}

export interface BlobCopy {
  readonly from: Repository
  readonly to: Repository
  readonly signal: AbortSignal
  /** Whoever waits for a neighbour's blob holds no place in it. */
  readonly limit: Limit
  readonly onBytes: (bytes: number) => void
}

/** Brings a blob to a repository, in the cheapest way that works. Throws RegistryError. */
export async function copyBlob(
  blobLocations: BlobLocations,
  move: BlobCopy,
  blob: BlobDescriptor,
): Promise<BlobOutcome> {
  const { to } = move
  const key = `${to.host} ${blob.digest}`
  const neighbour = await blobLocations.places.get(key)
  if (neighbour === to.name) return 'there'
  if (neighbour !== undefined && neighbour !== null) {
    return move.limit(() => share(move, blob, neighbour))
  }
  // Between the answer above and here another image may have begun: only one may.
  if (blobLocations.places.has(key) && neighbour === undefined)
    return copyBlob(blobLocations, move, blob)
  const work = move.limit(() => bring(move, blob))
  blobLocations.places.set(
    key,
    work.then(
      () => to.name,
      () => null,
    ),
  )
  return work
}

/** Another image of this run has brought the blob to a neighbour: mounting it is one request. */
async function share(
  move: BlobCopy,
  blob: BlobDescriptor,
  neighbour: string,
): Promise<BlobOutcome> {
  const { to, signal } = move
  if (!to.state.canMount) return bring(move, blob)
  const mounted = await mountBlob(to, blob, { from: neighbour, signal })
  if (mounted === 'mounted') return 'mounted'
  await upload(move, blob, mounted)
  return 'moved'
}

async function bring(move: BlobCopy, blob: BlobDescriptor): Promise<BlobOutcome> {
  const { from, to, signal } = move
  signal.throwIfAborted()
  if (await hasBlob(to, blob, signal)) return 'there'
  const begun =
    from.host === to.host && from.name !== to.name && to.state.canMount
      ? await mountBlob(to, blob, { from: from.name, signal })
      : null
  if (begun === 'mounted') return 'mounted'
  await upload(move, blob, begun)
  return 'moved'
}

type Begun = Exclude<Awaited<ReturnType<typeof mountBlob>>, 'mounted'>

async function upload(move: BlobCopy, blob: BlobDescriptor, begun: Begun): Promise<void> {
  const { from, to, signal, onBytes } = move
  await uploadBlob(to, createBlobSource(from, blob, signal), { signal, onBytes, begun })
}
