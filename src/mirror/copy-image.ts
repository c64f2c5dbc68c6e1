/** One image from one repository to another: every byte as it was, children before parents, the tag last, and proof. */
import type { Limit } from '../async/limit.ts'
import { failed, type RequestFailure } from '../registry/http/network-error.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import { hasBlob } from '../registry/blobs/blob-upload.ts'
import { headManifest, putManifest, shortDigest } from '../registry/manifests/manifests.ts'
import type { RegistryClient, Repository } from '../registry/registry-client.ts'
import { type BlobLocations, copyBlob } from './blob-copy.ts'
import { copyReferrers } from './copy-referrers.ts'
import type { ImagePair } from './image-pair.ts'
import type { CopyResult } from './copy-result.ts'
import { blobsOf, type ManifestNode, platformsOf, postOrder, readTree } from './image-tree.ts'

export interface CopyDependencies {
  readonly registries: RegistryClient
  readonly blobLocations: BlobLocations
  /** Blobs on their way at once, over all images of the run. */
  readonly blobLimit: Limit
  readonly now: () => number
  /** Trees that a dry run has read at a source: reading them again would cost a quota twice. */
  readonly trees: Map<string, ManifestNode>
  /** Makes repositories on registries where pushing does not; null where that is not allowed. */
  readonly createRepository: CreateRepository | null
}

/** False when this registry is none of those whose repositories it can make. Throws RegistryError. */
export type CreateRepository = (host: string, name: string, signal: AbortSignal) => Promise<boolean>

export interface CopyOptions {
  readonly signal: AbortSignal
  /** False: an equal digest is proof enough, and blobs that the mirror has lost stay lost. */
  readonly deep: boolean
  readonly dryRun: boolean
  /** Manifest pulls that must be left of a quota at the source, or nothing more is asked of it. */
  readonly quotaFloor: number
  /** True: signatures, SBOMs and attestations as well. */
  readonly referrers: boolean
  readonly onPlanned: (bytes: number) => void
  readonly onBytes: (bytes: number) => void
}

interface Ends {
  readonly from: Repository
  readonly to: Repository
  /** What the mirror is asked for, and what is written last: a tag, or a digest where there is none. */
  readonly name: string
  readonly tag: string | null
}

/** Copies, or with `dryRun` only looks. Throws RegistryError. */
export async function copyImage(
  dependencies: CopyDependencies,
  pair: ImagePair,
  options: CopyOptions,
): Promise<Omit<CopyResult, 'seconds' | 'pair'>> {
  const { registries } = dependencies
  const { source, destination } = pair
  const { signal } = options
  const from = await registries.open(source.domain, source.path, 'pull')
  const access = options.dryRun ? 'pull' : 'pull,push'
  const to = await registries.open(destination.domain, destination.path, access)
  const name = destination.digest ?? destination.tag ?? 'latest'
  const [wanted, present] = await Promise.all([
    headManifest(from, source.digest ?? source.tag ?? 'latest', signal),
    headManifest(to, name, signal),
  ])
  if (wanted.outcome !== 'found') throw said(from, wanted)
  if (present.outcome !== 'found' && present.outcome !== 'absent') throw said(to, present)
  const before = present.outcome === 'found' ? present.digest : null
  const ends = { from, to, name, tag: destination.tag }
  if (before === wanted.digest) {
    const current = { status: 'current', sourceDigest: before, mirrorDigest: before } as const
    if (!options.deep) return { ...nothingMoved, ...current }
    const whole = await lookDeep(dependencies, ends, { ...options, digest: before })
    if (whole !== null) return { ...whole, ...current }
  }
  return transfer(dependencies, ends, { ...options, digest: wanted.digest, before })
}

const nothingMoved = { platforms: [], bytesMoved: 0, bytesThere: 0, detail: null } as const

/** What a registry said instead of an image, with its name: two of them have a part in this. */
function said({ host, name }: Repository, answer: RequestFailure): RegistryError {
  const detail =
    answer.outcome === 'absent'
      ? `${host} has no such image in ${name} (${answer.detail})`
      : `${host}: ${answer.detail}`
  return new RegistryError({ ...answer, detail })
}

/** Whether the mirror has all of an image that it says it has; null when something of it is lost. */
async function lookDeep(
  dependencies: CopyDependencies,
  ends: Ends,
  { digest, ...options }: CopyOptions & { readonly digest: string },
): Promise<Pick<CopyResult, 'platforms' | 'bytesMoved' | 'bytesThere' | 'detail'> | null> {
  const { signal } = options
  try {
    const tree = await readTree(ends.to, { digest }, signal)
    const blobs = blobsOf(tree)
    const { bytesMoved } = await countMissing(dependencies, ends.to, { blobs, signal })
    if (bytesMoved > 0) return null
    if (options.referrers && !options.dryRun)
      await bringReferrers(dependencies, ends, tree, options)
    return { ...nothingMoved, platforms: platformsOf(tree), bytesThere: sum(blobs) }
  } catch (error) {
    if (error instanceof RegistryError && error.outcome === 'absent') return null
    throw error
  }
}

interface Transfer extends CopyOptions {
  readonly digest: string
  readonly before: string | null
}

async function transfer(
  dependencies: CopyDependencies,
  ends: Ends,
  options: Transfer,
): Promise<Omit<CopyResult, 'seconds' | 'pair'>> {
  const { from, to, name } = ends
  const { signal, digest, before } = options
  const tree = await treeAtSource(dependencies, from, options)
  const blobs = blobsOf(tree)
  options.onPlanned(sum(blobs))
  const counts = options.dryRun
    ? await countMissing(dependencies, to, { blobs, signal })
    : await moveToRepository(dependencies, ends, { blobs, ...options })
  const result = { sourceDigest: digest, platforms: platformsOf(tree), detail: null, ...counts }
  if (options.dryRun) return { ...result, status: 'planned', mirrorDigest: before }
  await putAll(ends, tree, options)
  if (options.referrers) await bringReferrers(dependencies, ends, tree, options)
  const proof = await headManifest(to, name, signal)
  if (proof.outcome !== 'found')
    throw new RegistryError({ ...proof, detail: `after copying, the mirror says: ${proof.detail}` })
  if (proof.digest !== digest) {
    const detail = `after copying, ${to.host} serves ${shortDigest(proof.digest)} and not ${shortDigest(digest)}; another writer may have moved the tag`
    throw new RegistryError(failed('invalid', detail))
  }
  return {
    ...result,
    status: before === digest ? 'repaired' : 'copied',
    mirrorDigest: proof.digest,
  }
}

async function treeAtSource(
  { trees }: CopyDependencies,
  from: Repository,
  { digest, dryRun, quotaFloor, signal }: Transfer,
): Promise<ManifestNode> {
  const key = `${from.host}/${from.name}@${digest}`
  const known = trees.get(key)
  if (known === undefined) holdQuota(from, quotaFloor)
  const tree = known ?? (await readTree(from, { digest }, signal))
  if (dryRun) trees.set(key, tree)
  else trees.delete(key)
  return tree
}

/** Pulls of manifests are what Docker Hub counts, and HEAD has told what is left of them. */
function holdQuota({ host, state }: Repository, floor: number): void {
  if (state.pullsRemaining === null || state.pullsRemaining >= floor) return
  const detail = `${host} has ${state.pullsRemaining} pulls left, and ${floor} are to be left for others`
  throw new RegistryError(failed('limited', detail))
}

interface Blobs {
  readonly blobs: ReturnType<typeof blobsOf>
  readonly signal: AbortSignal
}

async function countMissing(
  { blobLimit }: CopyDependencies,
  to: Repository,
  { blobs, signal }: Blobs,
): Promise<{ bytesMoved: number; bytesThere: number }> {
  const there = await Promise.all(blobs.map((blob) => blobLimit(() => hasBlob(to, blob, signal))))
  const bytesThere = sum(blobs.filter((_, index) => there[index]))
  return { bytesMoved: sum(blobs) - bytesThere, bytesThere }
}

/** Moves the blobs; where the registry wants its repositories made beforehand, makes it and begins once more. */
async function moveToRepository(
  dependencies: CopyDependencies,
  ends: Ends,
  options: Blobs & Pick<CopyOptions, 'onBytes'>,
): Promise<{ bytesMoved: number; bytesThere: number }> {
  try {
    return await moveAll(dependencies, ends, options)
  } catch (error) {
    if (!(error instanceof RegistryError) || error.code !== 'NAME_UNKNOWN') throw error
    const { host, name } = ends.to
    const isMade = await dependencies.createRepository?.(host, name, options.signal)
    if (isMade === true) return moveAll(dependencies, ends, options)
    const detail = `${host} has no repository ${name}, and makes none by being pushed to; create it (${error.message})`
    throw new RegistryError({ outcome: 'denied', detail }, error)
  }
}

async function moveAll(
  { blobLimit, blobLocations }: CopyDependencies,
  { from, to }: Ends,
  { blobs, signal, onBytes }: Blobs & Pick<CopyOptions, 'onBytes'>,
): Promise<{ bytesMoved: number; bytesThere: number }> {
  const stop = new AbortController()
  const both = AbortSignal.any([signal, stop.signal])
  const move = { from, to, signal: both, limit: blobLimit, onBytes }
  const work = blobs.map(async (blob) => {
    const outcome = await copyBlob(blobLocations, move, blob)
    if (outcome !== 'moved') onBytes(blob.size)
    return outcome === 'moved'
  })
  try {
    const moved = await Promise.all(work)
    const bytesMoved = sum(blobs.filter((_, index) => moved[index]))
    return { bytesMoved, bytesThere: sum(blobs) - bytesMoved }
  } catch (error) {
    // What the others have begun is cancelled before this image is given up.
    stop.abort()
    await Promise.allSettled(work)
    throw error
  }
}

/** Whoever reads the tag meanwhile sees the old image or the new one, and never half of one. */
async function putAll(
  { to, name, tag }: Ends,
  tree: ManifestNode,
  { signal, before }: Pick<Transfer, 'signal' | 'before'>,
): Promise<void> {
  for (const { manifest } of postOrder(tree)) {
    const isRoot = manifest.digest === tree.manifest.digest
    try {
      await putManifest(to, isRoot ? name : manifest.digest, manifest, signal)
    } catch (error) {
      throw isRoot && before !== null ? orImmutable(error, to, name) : error
    }
  }
  if (tag === null || tag === name) return
  // The digest decides; a tag beside it keeps the image from being swept up, and is never turned back by it.
  const tagged = await headManifest(to, tag, signal)
  if (tagged.outcome === 'absent') await putManifest(to, tag, tree.manifest, signal)
}

/** Registries that let no tag be moved say so with one of these (ECR, Harbor, distribution-spec's TAG_INVALID). */
function orImmutable(error: unknown, { host, name }: Repository, tag: string): unknown {
  if (!(error instanceof RegistryError)) return error
  const isImmutable = error.status === 409 || error.status === 412 || error.code === 'TAG_INVALID'
  if (!isImmutable) return error
  const detail = `${name}:${tag} on ${host} stands for another image, and the registry lets no tag be moved (${error.message})`
  return new RegistryError({ outcome: error.outcome, detail }, error)
}

async function bringReferrers(
  { blobLocations, blobLimit }: CopyDependencies,
  { from, to }: Ends,
  tree: ManifestNode,
  { signal, onBytes }: Pick<CopyOptions, 'signal' | 'onBytes'>,
): Promise<void> {
  const move = { from, to, signal, limit: blobLimit, onBytes }
  const moveBlobs = async (blobs: ReturnType<typeof blobsOf>) => {
    await Promise.all(blobs.map((blob) => copyBlob(blobLocations, move, blob)))
  }
  await copyReferrers({ from, to, signal, moveBlobs }, tree)
}

function sum(blobs: readonly { readonly size: number }[]): number {
  return blobs.reduce((total, { size }) => total + size, 0)
}
