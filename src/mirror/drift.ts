/** Compares mirrors with upstream by the digests that both serve. Pulls no image. */
import { createLimit } from '../async/limit.ts'
import { askByDigest } from '../decision/resolve/ask-by-digest.ts'
import type { FailedOutcome, ManifestAnswer } from '../decision/resolve/manifest-source.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import type { ImageRepository, ImageStore } from '../registry/images/image-store.ts'
import type { RawManifest } from '../registry/manifests/manifests.ts'
import { findGap } from './find-gap.ts'
import type { ImagePair } from './image-pair.ts'
import { platformDigests } from './image-tree.ts'
import { selectedPlatforms } from './sub-index.ts'

export type DriftState =
  | 'same'
  /** The upstream tag now names another image than when the mirror copied it. */
  | 'upstream-moved'
  | 'mirror-missing'
  /** The mirror has an image that upstream never had, as far as Berth can tell. */
  | 'mirror-ahead'
  /** Upstream has deleted the image, but the mirror still has it. */
  | 'upstream-missing'
  /** The mirror has one platform of the index that upstream serves. */
  | 'platform-subset'
  /** The mirror serves the digest of upstream, but lacks a manifest or blob below it. */
  | 'broken'
  | 'unreachable'

export interface PlatformDrift {
  readonly platform: string
  readonly state: 'same' | 'moved' | 'added' | 'removed'
}

export interface DriftResult {
  readonly pair: ImagePair
  readonly state: DriftState
  readonly sourceDigest: string | null
  readonly mirrorDigest: string | null
  /** For `unreachable`, which side failed and why; for other states, an addition. */
  readonly detail: string | null
  /** Why the image could not be checked; null for every state except `unreachable`. */
  readonly outcome: FailedOutcome | null
  /** Null unless requested and the digests differ. */
  readonly platforms: readonly PlatformDrift[] | null
}

export interface DriftOptions {
  readonly signal: AbortSignal
  /** Images compared at once. */
  readonly jobs: number
  readonly platforms: boolean
  /** True: also looks for what the mirror lacks where the digests are equal. Default: false. */
  readonly deep?: boolean
  /** True: attestations that the mirror lacks do not count. Default: false. */
  readonly allowMissingAttestations?: boolean
  /**
   * Returns the digests that were copied for a pair, from the audit log; null without one. If the mirror serves another digest
   * and upstream does not have it either, someone else pushed it: `mirror-ahead`.
   */
  readonly copiedDigests: (pair: ImagePair) => ReadonlySet<string> | null
}

/** Compares every pair. Returns the results in the order of the pairs. Sends two HEADs for each, and more if they differ. */
export async function findDrift(
  registries: ImageStore,
  pairs: readonly ImagePair[],
  options: DriftOptions,
): Promise<readonly DriftResult[]> {
  const limit = createLimit(options.jobs)
  return Promise.all(pairs.map((pair) => limit(() => compare(registries, pair, options))))
}

/** Returns the pairs whose mirror has the image. Sends one HEAD to the mirror for each, and none to upstream. */
export async function findPresent(
  registries: ImageStore,
  pairs: readonly ImagePair[],
  { jobs, signal }: Pick<DriftOptions, 'jobs' | 'signal'>,
): Promise<readonly ImagePair[]> {
  const limit = createLimit(jobs)
  const answers = await Promise.all(
    pairs.map((pair) => limit(() => lookUp(registries, pair.destination, signal))),
  )
  return pairs.filter((_, index) => (answers[index]?.digest ?? null) !== null)
}

async function compare(
  registries: ImageStore,
  pair: ImagePair,
  options: DriftOptions,
): Promise<DriftResult> {
  const { signal } = options
  const { source, destination } = pair
  const [upstream, mirror] = await Promise.all([
    lookUp(registries, source, signal),
    lookUp(registries, destination, signal),
  ])
  const result = {
    pair,
    sourceDigest: upstream.digest,
    mirrorDigest: mirror.digest,
    detail: null,
    outcome: null,
    platforms: null,
  }
  const failedSide = upstream.error === null ? mirror : upstream
  if (failedSide.error !== null) {
    const side = failedSide === upstream ? 'source' : 'mirror'
    const { outcome, detail } = failedSide.error
    return { ...result, state: 'unreachable', outcome, detail: `${side}: ${detail}` }
  }
  try {
    return { ...result, ...(await compareDigests({ upstream, mirror, pair }, options)) }
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error
    return { ...result, state: 'unreachable', outcome: error.outcome, detail: error.message }
  }
}

/** What one side serves. */
interface ServedDigest {
  readonly repository: ImageRepository | null
  /** Null if the image does not exist, and after an error. */
  readonly digest: string | null
  readonly error: { readonly outcome: FailedOutcome; readonly detail: string } | null
}

async function lookUp(
  registries: ImageStore,
  { domain, path, tag, digest }: ImagePair['source'],
  signal: AbortSignal,
): Promise<ServedDigest> {
  const withError = (outcome: FailedOutcome, detail: string): ServedDigest => ({
    repository: null,
    digest: null,
    error: { outcome, detail },
  })
  try {
    const repository = await registries.open(domain, path, 'pull')
    const answer: ManifestAnswer = await askByDigest({ tag, digest }, (reference) =>
      repository.headManifest(reference, signal),
    )
    if (answer.outcome === 'found') return { repository, digest: answer.digest, error: null }
    return answer.outcome === 'absent'
      ? { repository, digest: null, error: null }
      : withError(answer.outcome, `${domain}: ${answer.detail}`)
  } catch (error) {
    if (error instanceof RegistryError) return withError(error.outcome, error.message)
    if (signal.aborted) return withError('skipped', 'stopped')
    throw error
  }
}

interface Comparison {
  readonly upstream: ServedDigest
  readonly mirror: ServedDigest
  readonly pair: ImagePair
}

async function compareDigests(
  { upstream, mirror, pair }: Comparison,
  options: DriftOptions,
): Promise<Pick<DriftResult, 'state' | 'platforms' | 'detail'>> {
  const { signal, platforms, copiedDigests } = options
  const noDetails = { platforms: null, detail: null }
  if (upstream.digest === null && mirror.digest === null) {
    return {
      ...noDetails,
      state: 'mirror-missing',
      detail: 'neither upstream nor the mirror has the image',
    }
  }
  if (mirror.digest === null) return { ...noDetails, state: 'mirror-missing' }
  if (upstream.digest === null) return { ...noDetails, state: 'upstream-missing' }
  if (upstream.digest === mirror.digest) return same(mirror, options, null)
  const upstreamManifest = await readServed(upstream, signal)
  const upstreamPlatforms = readPlatforms(upstreamManifest)
  const isSubset = [...upstreamPlatforms.values()].includes(mirror.digest)
  const mirrorManifest = platforms || !isSubset ? await readServed(mirror, signal) : null
  const selected = selectedPlatforms(upstreamManifest, mirrorManifest)
  if (selected !== null) return same(mirror, options, `the mirror has only ${selected.join(', ')}`)
  const copied = copiedDigests(pair)
  const isForeign =
    copied !== null &&
    !copied.has(mirror.digest) &&
    !(await stillServes(upstream, mirror.digest, signal))
  const state = isSubset ? 'platform-subset' : isForeign ? 'mirror-ahead' : 'upstream-moved'
  if (!platforms) return { ...noDetails, state }
  const mirrorPlatforms = readPlatforms(mirrorManifest)
  return { ...noDetails, state, platforms: comparePlatforms(upstreamPlatforms, mirrorPlatforms) }
}

/** Returns the result for a mirror that has the expected digest, unless a deep check finds a gap. */
async function same(
  { repository, digest }: ServedDigest,
  options: DriftOptions,
  detail: string | null,
): Promise<Pick<DriftResult, 'state' | 'platforms' | 'detail'>> {
  const isDeep = options.deep === true && repository !== null && digest !== null
  const gap = isDeep ? await findGap(repository, digest, options) : null
  return { platforms: null, state: gap === null ? 'same' : 'broken', detail: gap ?? detail }
}

async function readServed(
  { repository, digest }: ServedDigest,
  signal: AbortSignal,
): Promise<RawManifest | null> {
  if (repository === null || digest === null) return null
  return repository.getManifest({ digest }, signal)
}

/** Registries keep an image for some time after its tag moved. */
async function stillServes(
  { repository }: ServedDigest,
  digest: string,
  signal: AbortSignal,
): Promise<boolean> {
  return repository !== null && (await repository.hasManifest(digest, signal))
}

/** Returns the digest of each platform in an index; empty for any other manifest. */
function readPlatforms(manifest: RawManifest | null): ReadonlyMap<string, string> {
  return manifest === null ? new Map() : platformDigests(manifest)
}

function comparePlatforms(
  upstream: ReadonlyMap<string, string>,
  mirror: ReadonlyMap<string, string>,
): readonly PlatformDrift[] {
  return [...new Set([...upstream.keys(), ...mirror.keys()])].sort().map((platform) => {
    const [upstreamDigest, mirrorDigest] = [upstream.get(platform), mirror.get(platform)]
    if (upstreamDigest === mirrorDigest) return { platform, state: 'same' }
    if (mirrorDigest === undefined) return { platform, state: 'added' }
    return { platform, state: upstreamDigest === undefined ? 'removed' : 'moved' }
  })
}

/** Returns whether `berth drift --update` copies the image. It does not overwrite what others pushed to the mirror. */
export function isBehind({ state }: DriftResult): boolean {
  const behind: readonly DriftState[] = [
    'upstream-moved',
    'mirror-missing',
    'platform-subset',
    'broken',
  ]
  return behind.includes(state)
}

/** Returns 0 if nothing differs, 1 for drift, and 3 if there is no drift but an image could not be checked. */
export function driftExitCode(results: readonly DriftResult[]): number {
  if (results.some(({ state }) => state !== 'same' && state !== 'unreachable')) return 1
  return results.some(({ state }) => state === 'unreachable') ? 3 : 0
}
