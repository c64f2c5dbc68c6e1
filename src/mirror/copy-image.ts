/** Copies one image byte for byte: blobs, then manifests, then the tag. Verifies what the mirror serves afterwards. */
import type { Limit } from '../async/limit.ts'
import type { BlobDescriptor } from '../registry/blobs/blob-source.ts'
import { hasBlob } from '../registry/blobs/blob-upload.ts'
import { shortDigest } from '../registry/digest.ts'
import { failed } from '../registry/http/network-error.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import { headManifest, putManifest } from '../registry/manifests/manifests.ts'
import type { RegistryClient, Repository } from '../registry/registry-client.ts'
import { type BlobLocations, copyBlob } from './blob-copy.ts'
import {
  explainForeignLayer,
  explainImmutableTag,
  explainSparseIndex,
  lookupError,
} from './copy-errors.ts'
import { copyReferrers } from './copy-referrers.ts'
import type { CopyResult } from './copy-result.ts'
import type { ImagePair } from './image-pair.ts'
import {
  blobsOf,
  type ManifestNode,
  missingAttestations,
  platformsOf,
  postOrder,
  readTree,
  type TreeBlob,
  type TreeCache,
} from './image-tree.ts'

export interface CopyDependencies {
  readonly registries: RegistryClient
  readonly blobLocations: BlobLocations
  /** Limits concurrent blob copies over all images of the run. */
  readonly blobLimit: Limit
  readonly trees: TreeCache
  /** Creates missing repositories on registries that need it; null if that is not allowed. */
  readonly createRepository: CreateRepository | null
}

/** Returns false if it cannot create repositories on this registry. Throws RegistryError. */
export type CreateRepository = (host: string, name: string, signal: AbortSignal) => Promise<boolean>

export interface CopyOptions {
  readonly signal: AbortSignal
  /** True: an image with the right digest is also checked for missing manifests and blobs. */
  readonly deep: boolean
  readonly dryRun: boolean
  /** The copy fails if the source allows fewer manifest pulls than this. */
  readonly quotaFloor: number
  /** True: signatures, SBOMs and attestations are copied too. */
  readonly referrers: boolean
  /** True: attestations that the index lists, but that do not exist, are left out. Default: false. */
  readonly allowMissingAttestations?: boolean
  /** True: downloads foreign layers that the source does not have from their vendor. Default: false. */
  readonly foreignLayers?: boolean
  readonly onPlanned: (bytes: number) => void
  readonly onBytes: (bytes: number) => void
}

type ResultWithoutPair = Omit<CopyResult, 'seconds' | 'pair'>

/** The source and the destination of one copy. */
interface CopyRoute {
  readonly from: Repository
  readonly to: Repository
  /** What the destination serves the image under: the digest if the pair has one, else the tag. */
  readonly reference: string
  readonly tag: string | null
}

/** Copies an image; with `dryRun`, only compares. Throws RegistryError. */
export async function copyImage(
  dependencies: CopyDependencies,
  { source, destination }: ImagePair,
  options: CopyOptions,
): Promise<ResultWithoutPair> {
  const { registries } = dependencies
  const { signal } = options
  const from = await registries.open(source.domain, source.path, 'pull')
  const access = options.dryRun ? 'pull' : 'pull,push'
  const to = await registries.open(destination.domain, destination.path, access)
  const reference = destination.digest ?? destination.tag ?? 'latest'
  const [upstream, current] = await Promise.all([
    headManifest(from, source.digest ?? source.tag ?? 'latest', signal),
    headManifest(to, reference, signal),
  ])
  if (upstream.outcome !== 'found') throw lookupError(from, upstream)
  if (current.outcome !== 'found' && current.outcome !== 'absent') throw lookupError(to, current)
  const currentDigest = current.outcome === 'found' ? current.digest : null
  const route = { from, to, reference, tag: destination.tag }
  if (currentDigest === upstream.digest) {
    const digests = { sourceDigest: currentDigest, mirrorDigest: currentDigest }
    if (!options.deep) return { ...nothingMoved, status: 'current', ...digests }
    const check = { ...options, digest: currentDigest }
    const complete = await checkComplete(dependencies, route, check)
    if (complete !== null) return { ...complete, status: 'current', ...digests }
  }
  return transfer(dependencies, route, { ...options, digest: upstream.digest, currentDigest })
}

const nothingMoved = {
  platforms: [],
  missingAttestations: [],
  bytesMoved: 0,
  bytesThere: 0,
  detail: null,
} as const

/** Returns null if the mirror lacks a manifest or blob of the image that it serves. */
async function checkComplete(
  dependencies: CopyDependencies,
  route: CopyRoute,
  { digest, ...options }: CopyOptions & { readonly digest: string },
): Promise<Omit<
  CopyResult,
  'pair' | 'status' | 'seconds' | 'sourceDigest' | 'mirrorDigest'
> | null> {
  const { signal } = options
  try {
    const tree = await readTree(route.to, { digest }, options)
    const blobs = blobsOf(tree)
    const { bytesMoved } = await countMissing(dependencies, route.to, { blobs, signal })
    if (bytesMoved > 0) return null
    if (options.referrers && !options.dryRun) {
      await copyAllReferrers(dependencies, route, tree, options)
    }
    return {
      ...nothingMoved,
      platforms: platformsOf(tree),
      missingAttestations: missingAttestations(tree),
      bytesThere: totalSize(blobs),
    }
  } catch (error) {
    if (error instanceof RegistryError && error.outcome === 'absent') return null
    throw error
  }
}

interface TransferOptions extends CopyOptions {
  readonly digest: string
  /** What the destination served before; null if nothing. */
  readonly currentDigest: string | null
}

async function transfer(
  dependencies: CopyDependencies,
  route: CopyRoute,
  options: TransferOptions,
): Promise<ResultWithoutPair> {
  const { from, to, reference } = route
  const { signal, digest, currentDigest } = options
  const tree = await readSourceTree(dependencies, from, options)
  const blobs = blobsOf(tree)
  options.onPlanned(totalSize(blobs))
  const bytes = options.dryRun
    ? await countMissing(dependencies, to, { blobs, signal })
    : await copyToRepository(dependencies, route, { blobs, ...options })
  const result = {
    sourceDigest: digest,
    platforms: platformsOf(tree),
    missingAttestations: missingAttestations(tree),
    detail: null,
    ...bytes,
  }
  if (options.dryRun) return { ...result, status: 'planned', mirrorDigest: currentDigest }
  await putManifests(route, tree, options)
  if (options.referrers) await copyAllReferrers(dependencies, route, tree, options)
  const served = await headManifest(to, reference, signal)
  if (served.outcome !== 'found') {
    const detail = `after the copy, ${to.host} does not serve the image: ${served.detail}`
    throw new RegistryError({ ...served, detail })
  }
  if (served.digest !== digest) {
    const digests = `${shortDigest(served.digest)} instead of ${shortDigest(digest)}`
    const detail = `after the copy, ${to.host} serves ${digests}; another writer may have moved the tag`
    throw new RegistryError(failed('invalid', detail))
  }
  const status = currentDigest === digest ? 'repaired' : 'copied'
  return { ...result, status, mirrorDigest: served.digest }
}

async function readSourceTree(
  { trees }: CopyDependencies,
  from: Repository,
  { digest, dryRun, quotaFloor, ...options }: TransferOptions,
): Promise<ManifestNode> {
  const key = `${from.host}/${from.name}@${digest}`
  const known = trees.get(key)
  if (known === undefined) checkQuota(from, quotaFloor)
  const tree = known ?? (await readTree(from, { digest }, options))
  if (dryRun) trees.set(key, tree)
  else trees.delete(key)
  return tree
}

/** Docker Hub counts manifest pulls. The response to the HEAD before stated how many are left. */
function checkQuota({ host, state }: Repository, floor: number): void {
  const { pullsRemaining } = state
  if (pullsRemaining === null || pullsRemaining >= floor) return
  const detail = `${host} allows ${pullsRemaining} more pulls, fewer than the quota floor of ${floor}`
  throw new RegistryError(failed('limited', detail))
}

interface BlobList {
  readonly blobs: readonly TreeBlob[]
  readonly signal: AbortSignal
}

type ByteCounts = Pick<CopyResult, 'bytesMoved' | 'bytesThere'>

/** Counts the bytes that the destination lacks as `bytesMoved`. */
async function countMissing(
  { blobLimit }: CopyDependencies,
  to: Repository,
  { blobs, signal }: BlobList,
): Promise<ByteCounts> {
  const isPresent = await Promise.all(
    blobs.map((blob) => blobLimit(() => hasBlob(to, blob, signal))),
  )
  const bytesThere = totalSize(blobs.filter((_, index) => isPresent[index]))
  return { bytesMoved: totalSize(blobs) - bytesThere, bytesThere }
}

type BlobListToCopy = BlobList & Pick<CopyOptions, 'onBytes' | 'foreignLayers'>

/** Copies the blobs. If the repository does not exist, creates it where that is possible, and tries once more. */
async function copyToRepository(
  dependencies: CopyDependencies,
  route: CopyRoute,
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
  { blobLimit, blobLocations }: CopyDependencies,
  { from, to }: CopyRoute,
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

/** Puts the root last, so that a client that reads the tag gets the old image or the complete new one. */
async function putManifests(
  { to, reference, tag }: CopyRoute,
  tree: ManifestNode,
  { signal, currentDigest }: Pick<TransferOptions, 'signal' | 'currentDigest'>,
): Promise<void> {
  for (const node of postOrder(tree)) {
    const { manifest } = node
    const isRoot = manifest.digest === tree.manifest.digest
    const foreignLayer = node.blobs.find(({ vendorUrls = [] }) => vendorUrls.length > 0)
    // docker-registry answers 500 if it does not allow the URLs of foreign layers.
    const options = foreignLayer === undefined ? { signal } : { signal, finalStatus: 500 }
    try {
      await putManifest(to, isRoot ? reference : manifest.digest, manifest, options)
    } catch (error) {
      if (foreignLayer !== undefined) throw explainForeignLayer(error, to, foreignLayer)
      if (node.missingAttestations.length > 0) throw explainSparseIndex(error, to)
      throw isRoot && currentDigest !== null ? explainImmutableTag(error, to, reference) : error
    }
  }
  if (tag === null || tag === reference) return
  // The pair has a digest and a tag. The tag protects the image from garbage collection; an existing tag is not moved.
  const tagged = await headManifest(to, tag, signal)
  if (tagged.outcome === 'absent') await putManifest(to, tag, tree.manifest, { signal })
}

async function copyAllReferrers(
  { blobLocations, blobLimit }: CopyDependencies,
  { from, to }: CopyRoute,
  tree: ManifestNode,
  { signal, onBytes }: Pick<CopyOptions, 'signal' | 'onBytes'>,
): Promise<void> {
  const options = { from, to, signal, limit: blobLimit, onBytes }
  const copyReferrerBlobs = async (blobs: readonly BlobDescriptor[]) => {
    await Promise.all(blobs.map((blob) => copyBlob(blobLocations, options, blob)))
  }
  await copyReferrers({ from, to, signal, copyBlobs: copyReferrerBlobs }, tree)
}

function totalSize(blobs: readonly BlobDescriptor[]): number {
  return blobs.reduce((total, { size }) => total + size, 0)
}
