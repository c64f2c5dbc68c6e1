/** Copies one image byte for byte: blobs, then manifests, then the tag. Verifies what the mirror serves afterwards. */
import { askByDigest } from '../decision/resolve/ask-by-digest.ts'
import type { ManifestAnswer } from '../decision/resolve/manifest-source.ts'
import type { BlobDescriptor } from '../registry/blobs/blob-source.ts'
import { shortDigest } from '../registry/digest.ts'
import { failed } from '../registry/http/network-error.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import type { ImageRepository, ImageStore } from '../registry/images/image-store.ts'
import type { RawManifest } from '../registry/manifests/manifests.ts'
import { copyBlob } from './blob-copy.ts'
import { type BlobDependencies, copyToRepository, countMissing, totalSize } from './copy-blobs.ts'
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
  type TreeCache,
} from './image-tree.ts'
import { createSubIndex } from './sub-index.ts'
import type { ImageVerification, ImageVerifier } from './verify-image.ts'

export interface CopyDependencies extends BlobDependencies {
  readonly sources: ImageStore
  readonly destinations: ImageStore
  readonly trees: TreeCache
  /** Null: nothing is verified before a copy. */
  readonly verifier: ImageVerifier | null
}

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
  /** Platforms such as `linux/arm64`: an index is copied with only these, under another digest. Default: all. */
  readonly platforms?: readonly string[]
  /** True: downloads foreign layers that the source does not have from their vendor. Default: false. */
  readonly foreignLayers?: boolean
  readonly onPlanned: (bytes: number) => void
  readonly onBytes: (bytes: number) => void
}

/** Which referrers are copied. */
type WantedReferrers = 'all' | 'signatures' | 'none'

type ResultWithoutPair = Omit<CopyResult, 'seconds' | 'pair'>

/** The source and the destination of one copy. */
interface CopyRoute {
  readonly from: ImageRepository
  readonly to: ImageRepository
  /** What the destination serves the image under: the digest if the pair has one, else the tag. */
  readonly reference: string
  readonly tag: string | null
}

/** Copies an image; with `dryRun`, only compares. Throws RegistryError and ImageRefusedError. */
export async function copyImage(
  dependencies: CopyDependencies,
  pair: ImagePair,
  options: CopyOptions,
): Promise<ResultWithoutPair> {
  const { route, sourceDigest, currentDigest } = await openRoute(dependencies, pair, options)
  const subIndex = await readSubIndex(route.from, sourceDigest, options)
  if (subIndex !== null && pair.destination.digest !== null) {
    throw new RegistryError(failed('invalid', digestWithPlatforms))
  }
  const digest = subIndex?.digest ?? sourceDigest
  const at = { from: route.from, digest: sourceDigest, signal: options.signal }
  const verification = dependencies.verifier?.verification(pair.source, at) ?? null
  const referrers = wantedReferrers(options, verification)
  if (currentDigest === digest) {
    const digests = { sourceDigest, mirrorDigest: currentDigest }
    // A new signature does not change the digest of the image.
    if (!options.deep && referrers === 'none')
      return { ...nothingMoved, status: 'current', ...digests }
    const check = { ...options, referrers, digest: currentDigest }
    const complete = await checkComplete(dependencies, route, check)
    if (complete !== null) return { ...complete, status: 'current', ...digests }
  }
  const wanted = { digest, subIndex, currentDigest, referrers, verification }
  return { ...(await transfer(dependencies, route, { ...options, ...wanted })), sourceDigest }
}

function wantedReferrers(
  { referrers }: CopyOptions,
  verification: ImageVerification | null,
): WantedReferrers {
  if (referrers) return 'all'
  return verification?.isSigned === true ? 'signatures' : 'none'
}

/** Asks both registries for the image. Throws RegistryError if the source does not have it, or the answer is not known. */
async function openRoute(
  { sources, destinations }: CopyDependencies,
  { source, destination }: ImagePair,
  { dryRun, signal }: CopyOptions,
): Promise<{
  readonly route: CopyRoute
  readonly sourceDigest: string
  /** What the destination serves now; null if nothing. */
  readonly currentDigest: string | null
}> {
  const from = await sources.open(source.domain, source.path, 'pull')
  const access = dryRun ? 'pull' : 'pull,push'
  const to = await destinations.open(destination.domain, destination.path, access)
  const reference = destination.digest ?? destination.tag ?? 'latest'
  const [upstream, current] = await Promise.all([
    askByDigest(source, (each) => from.headManifest(each, signal)),
    askDestination(to, destination, signal),
  ])
  if (upstream.outcome !== 'found') throw lookupError(from, upstream)
  if (current.outcome !== 'found' && current.outcome !== 'absent') throw lookupError(to, current)
  return {
    route: { from, to, reference, tag: destination.tag },
    sourceDigest: upstream.digest,
    currentDigest: current.outcome === 'found' ? current.digest : null,
  }
}

/**
 * Asks for the tag first if there is a tag and a digest, because the tag protects the image from garbage collection. An image
 * without its tag counts as absent, and one with a moved tag as complete.
 */
async function askDestination(
  to: ImageRepository,
  { tag, digest }: ImagePair['destination'],
  signal: AbortSignal,
): Promise<ManifestAnswer> {
  if (digest === null || tag === null) return to.headManifest(digest ?? tag ?? 'latest', signal)
  const tagged = await to.headManifest(tag, signal)
  const isMoved = tagged.outcome === 'found' && tagged.digest !== digest
  return isMoved ? to.headManifest(digest, signal) : tagged
}

const digestWithPlatforms =
  'with --platform, the copy has another digest than the destination states; give the destination a tag'

/** Returns the index with only the selected platforms; null if the image is copied as it is. */
async function readSubIndex(
  from: ImageRepository,
  digest: string,
  { platforms, quotaFloor, signal }: CopyOptions,
): Promise<RawManifest | null> {
  if (platforms === undefined) return null
  checkQuota(from, quotaFloor)
  return createSubIndex(await from.getManifest({ digest }, signal), platforms)
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
  {
    digest,
    ...options
  }: Omit<CopyOptions, 'referrers'> & {
    readonly digest: string
    readonly referrers: WantedReferrers
  },
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
    if (options.referrers !== 'none' && !options.dryRun) {
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

interface TransferOptions extends Omit<CopyOptions, 'referrers'> {
  readonly referrers: WantedReferrers
  /** Null: nothing is verified. */
  readonly verification: ImageVerification | null
  /** The digest that the destination is to serve. */
  readonly digest: string
  /** Null if it is the manifest of the source. */
  readonly subIndex: RawManifest | null
  /** What the destination served before; null if nothing. */
  readonly currentDigest: string | null
}

async function transfer(
  dependencies: CopyDependencies,
  route: CopyRoute,
  options: TransferOptions,
): Promise<ResultWithoutPair> {
  const { from, to, reference } = route
  const { signal, digest, currentDigest, verification } = options
  const proof = await verification?.checkSignatures()
  const tree = await readSourceTree(dependencies, from, options)
  if (proof !== undefined) await verification?.checkAge(tree, proof)
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
  if (options.referrers !== 'none') await copyAllReferrers(dependencies, route, tree, options)
  const served = await to.headManifest(reference, signal)
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
  from: ImageRepository,
  { digest, subIndex, dryRun, quotaFloor, ...options }: TransferOptions,
): Promise<ManifestNode> {
  const key = `${from.host}/${from.name}@${digest}`
  const known = trees.get(key)
  if (known === undefined) checkQuota(from, quotaFloor)
  const root = subIndex === null ? { digest } : { digest, manifest: subIndex }
  const tree = known ?? (await readTree(from, root, options))
  if (dryRun) trees.set(key, tree)
  else trees.delete(key)
  return tree
}

/** Docker Hub counts manifest pulls. The response to the HEAD before stated how many are left. */
function checkQuota({ host, pullsRemaining }: ImageRepository, floor: number): void {
  if (pullsRemaining === null || pullsRemaining >= floor) return
  const detail = `${host} allows ${pullsRemaining} more pulls, fewer than the quota floor of ${floor}`
  throw new RegistryError(failed('limited', detail))
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
      await to.putManifest(isRoot ? reference : null, manifest, options)
    } catch (error) {
      if (foreignLayer !== undefined) throw explainForeignLayer(error, to, foreignLayer)
      if (node.missingAttestations.length > 0) throw explainSparseIndex(error, to)
      throw isRoot && currentDigest !== null ? explainImmutableTag(error, to, reference) : error
    }
  }
  if (tag === null || tag === reference) return
  // The pair has a digest and a tag. The tag protects the image from garbage collection; an existing tag is not moved.
  const tagged = await to.headManifest(tag, signal)
  if (tagged.outcome === 'absent') await to.putManifest(tag, tree.manifest, { signal })
}

async function copyAllReferrers(
  { blobLocations, blobLimit }: CopyDependencies,
  { from, to }: CopyRoute,
  tree: ManifestNode,
  { signal, onBytes, referrers }: Pick<TransferOptions, 'signal' | 'onBytes' | 'referrers'>,
): Promise<void> {
  const options = { from, to, signal, limit: blobLimit, onBytes }
  const copyReferrerBlobs = async (blobs: readonly BlobDescriptor[]) => {
    await Promise.all(blobs.map((blob) => copyBlob(blobLocations, options, blob)))
  }
  const onlySignatures = referrers === 'signatures'
  await copyReferrers({ from, to, signal, onlySignatures, copyBlobs: copyReferrerBlobs }, tree)
}
