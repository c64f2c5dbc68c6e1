/** Whether mirrors still hold what upstream serves, by the digests that both say; nothing is pulled. */
import { RegistryError } from '../registry/http/registry-error.ts'
import { getManifest, hasManifest, headManifest } from '../registry/manifests/manifests.ts'
import type { RegistryClient, Repository } from '../registry/registry-client.ts'
import type { ManifestAnswer } from '../decision/resolve/manifest-source.ts'
import { createLimit } from '../async/limit.ts'
import type { ImagePair } from './image-pair.ts'
import { platformDigests } from './image-tree.ts'

export type DriftState =
  | 'same'
  /** Upstream's tag stands for something else than it did when the mirror took it. */
  | 'upstream-moved'
  | 'mirror-missing'
  /** The mirror holds what upstream was never seen to serve. */
  | 'mirror-ahead'
  /** Upstream has taken the image away; the mirror still has it. */
  | 'upstream-missing'
  /** The mirror holds one platform of what upstream serves as an index. */
  | 'platform-subset'
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
  /** Which side does not answer, and what it said; or more about the state. */
  readonly detail: string | null
  /** Only when asked for, and where both sides have something to compare. */
  readonly platforms: readonly PlatformDrift[] | null
}

export interface DriftOptions {
  readonly signal: AbortSignal
  /** Images at once. */
  readonly jobs: number
  readonly platforms: boolean
  /**
   * Digests that were copied under the pair's name, from the audit log; null when nothing is known. What the mirror holds,
   * is not among them and is nothing that upstream knows came from elsewhere.
   */
  readonly seen: (pair: ImagePair) => ReadonlySet<string> | null
}

/** Compares every pair; results in the pairs' order. Two HEADs each, more only for what differs. */
export async function findDrift(
  registries: RegistryClient,
  pairs: readonly ImagePair[],
  options: DriftOptions,
): Promise<readonly DriftResult[]> {
  const limit = createLimit(options.jobs)
  return Promise.all(pairs.map((pair) => limit(() => compare(registries, pair, options))))
}

async function compare(
  registries: RegistryClient,
  pair: ImagePair,
  options: DriftOptions,
): Promise<DriftResult> {
  const { signal } = options
  const { source, destination } = pair
  const [from, to] = await Promise.all([
    look(registries, source, signal),
    look(registries, destination, signal),
  ])
  const base = {
    pair,
    sourceDigest: from.digest,
    mirrorDigest: to.digest,
    detail: null,
    platforms: null,
  }
  const silent = from.fault === null ? to : from
  if (silent.fault !== null) {
    const side = silent === from ? 'source' : 'mirror'
    return { ...base, state: 'unreachable', detail: `${side}: ${silent.fault}` }
  }
  try {
    return { ...base, ...(await stateOf({ from, to, pair }, options)) }
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error
    return { ...base, state: 'unreachable', detail: error.message }
  }
}

interface Look {
  readonly repository: Repository | null
  readonly digest: string | null
  /** Why nothing is known; null when something is, were it that the image is not there. */
  readonly fault: string | null
}

async function look(
  registries: RegistryClient,
  { domain, path, tag, digest }: ImagePair['source'],
  signal: AbortSignal,
): Promise<Look> {
  const unknown = (fault: string): Look => ({ repository: null, digest: null, fault })
  try {
    const repository = await registries.open(domain, path, 'pull')
    const answer: ManifestAnswer = await headManifest(repository, digest ?? tag ?? 'latest', signal)
    if (answer.outcome === 'found') return { repository, digest: answer.digest, fault: null }
    return answer.outcome === 'absent'
      ? { repository, digest: null, fault: null }
      : unknown(`${domain}: ${answer.detail}`)
  } catch (error) {
    if (error instanceof RegistryError) return unknown(error.message)
    if (signal.aborted) return unknown('stopped')
    throw error
  }
}

interface Sides {
  readonly from: Look
  readonly to: Look
  readonly pair: ImagePair
}

async function stateOf(
  { from, to, pair }: Sides,
  { signal, platforms, seen }: DriftOptions,
): Promise<Pick<DriftResult, 'state' | 'platforms' | 'detail'>> {
  const nothing = { platforms: null, detail: null }
  if (from.digest === null && to.digest === null)
    return { ...nothing, state: 'mirror-missing', detail: 'neither upstream nor the mirror has it' }
  if (to.digest === null) return { ...nothing, state: 'mirror-missing' }
  if (from.digest === null) return { ...nothing, state: 'upstream-missing' }
  if (from.digest === to.digest) return { ...nothing, state: 'same' }
  const upstream = await platformsBelow(from, signal)
  const isSubset = [...upstream.values()].includes(to.digest)
  const known = seen(pair)
  const isStranger =
    known !== null && !known.has(to.digest) && !(await servesStill(from, to.digest, signal))
  const state = isSubset ? 'platform-subset' : isStranger ? 'mirror-ahead' : 'upstream-moved'
  if (!platforms) return { ...nothing, state }
  return { ...nothing, state, platforms: difference(upstream, await platformsBelow(to, signal)) }
}

/** Registries keep for a while what a tag once stood for. */
async function servesStill(
  { repository }: Look,
  digest: string,
  signal: AbortSignal,
): Promise<boolean> {
  return repository !== null && (await hasManifest(repository, digest, signal))
}

/** The digest of each platform; empty for what is no index. */
async function platformsBelow(
  { repository, digest }: Look,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  if (repository === null || digest === null) return new Map()
  return platformDigests(await getManifest(repository, { digest }, signal))
}

function difference(
  upstream: ReadonlyMap<string, string>,
  mirror: ReadonlyMap<string, string>,
): readonly PlatformDrift[] {
  return [...new Set([...upstream.keys(), ...mirror.keys()])].sort().map((platform) => {
    const [one, other] = [upstream.get(platform), mirror.get(platform)]
    if (one === other) return { platform, state: 'same' }
    if (other === undefined) return { platform, state: 'added' }
    return { platform, state: one === undefined ? 'removed' : 'moved' }
  })
}

/** What `--update` copies. What is ahead was put there by somebody, and stays. */
export function isBehind({ state }: DriftResult): boolean {
  return state === 'upstream-moved' || state === 'mirror-missing' || state === 'platform-subset'
}

/** 0: all the same. 1: something has drifted. 3: of something nothing could be told, and nothing else has drifted. */
export function driftExitCode(drifts: readonly DriftResult[]): number {
  if (drifts.some(({ state }) => state !== 'same' && state !== 'unreachable')) return 1
  return drifts.some(({ state }) => state === 'unreachable') ? 3 : 0
}
