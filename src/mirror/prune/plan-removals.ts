/**
 * Plans which manifests of one repository are removed. Deleting a digest removes all of its tags, so that a digest stays as long
 * as anything that stays needs it: one of its tags, an index, or an image that it signs. Pure.
 */
import { shortDigest } from '../../registry/digest.ts'

/** A tag of the repository. */
export interface PruneTag {
  readonly tag: string
  readonly digest: string
  /** Why it stays; null if nothing needs it. A tag of a signature goes with its image, unless something needs it by name. */
  readonly keep: string | null
}

/** A manifest of the repository. Of those that stay, only indexes are read. */
export interface PruneNode {
  /** The digests of the manifests below an index. */
  readonly children: readonly string[]
  /** The digest that it refers to, as a signature does. */
  readonly subject: string | null
  /** The digests that refer to it. */
  readonly referrers: readonly string[]
}

export interface RepositoryState {
  readonly tags: readonly PruneTag[]
  readonly nodes: ReadonlyMap<string, PruneNode>
  /** Returns who needs a digest; null if it is not needed. */
  readonly neededBy: (digest: string) => string | null
  /** Digests without a tag that stay, because something needs them. */
  readonly roots: readonly string[]
  /** Digests that tags of signatures name, and that do not exist. */
  readonly absent: ReadonlySet<string>
}

/** A digest with its tags, and what is removed after it. */
export interface Removal {
  readonly digest: string
  readonly tags: readonly string[]
  /** Manifests without a tag that go with it: those below it, and its referrers. Each belongs to one removal only. */
  readonly others: readonly string[]
}

export interface RemovalPlan {
  readonly removals: readonly Removal[]
  /** For each digest that is removed, what it needs of the others: manifests below it, and its referrers. */
  readonly holds: ReadonlyMap<string, readonly string[]>
  /** Why each of the other tags stays. */
  readonly kept: ReadonlyMap<string, string>
}

/** `sha256-<hex>` is the referrers tag of a digest, and cosign adds `.sig`, `.att` or `.sbom` (cosign, specs/SIGNATURE_SPEC.md). */
const signatureTag = /^sha256-([0-9a-f]{64})(?:\.[a-z]{1,16})?$/

/** Returns the digest that a tag names as the image of a signature; null for any other tag. */
export function subjectOfTag(tag: string): string | null {
  const [, encoded] = signatureTag.exec(tag) ?? []
  return encoded === undefined ? null : `sha256:${encoded}`
}

/** Plans the removals. Manifests that were not read stay. */
export function planRemovals(state: RepositoryState): RemovalPlan {
  const byDigest = Map.groupBy(state.tags, ({ digest }) => digest)
  /** The tagged digests that may go. It shrinks until nothing that stays needs one of them. */
  const reasons = new Map<string, string>()
  const candidates = new Set(byDigest.keys())
  const stay = (digest: string, reason: string): boolean => {
    if (!candidates.delete(digest)) return false
    reasons.set(digest, reason)
    return true
  }
  for (const [digest, tags] of byDigest) {
    const kept = tags.find(({ keep }) => keep !== null)
    if (kept !== undefined) stay(digest, `the tag ${kept.tag} of the same digest stays`)
  }
  for (let hasChanged = true; hasChanged;) {
    hasChanged = false
    const held = heldDigests(state, byDigest, candidates)
    const going = goingDigests(state, byDigest, candidates)
    for (const digest of candidates) {
      const reason = reasonToStay(state, digest, { held, going, tags: byDigest.get(digest) ?? [] })
      if (reason !== null) hasChanged = stay(digest, reason) || hasChanged
    }
  }
  const kept = new Map(
    state.tags
      .filter(({ digest }) => !candidates.has(digest))
      .map(({ tag, digest, keep }) => [tag, keep ?? reasons.get(digest) ?? 'not known']),
  )
  const removals = listRemovals(state, byDigest, candidates)
  return { removals, holds: holdsOf(state, removals), kept }
}

function holdsOf(
  { nodes }: RepositoryState,
  removals: readonly Removal[],
): ReadonlyMap<string, readonly string[]> {
  const removed = new Set(removals.flatMap(({ digest, others }) => [digest, ...others]))
  const holds = new Map<string, readonly string[]>()
  for (const digest of removed) {
    const { children = [], referrers = [] } = nodes.get(digest) ?? {}
    const held = new Set([...children, ...referrers].filter((each) => removed.has(each)))
    if (held.size > 0) holds.set(digest, [...held])
  }
  return holds
}

interface Surroundings {
  /** What the digests that stay hold. */
  readonly held: ReadonlyMap<string, string>
  /** The candidates, and everything below them that nothing else holds. */
  readonly going: ReadonlySet<string>
  readonly tags: readonly PruneTag[]
}

function reasonToStay(
  state: RepositoryState,
  digest: string,
  { held, going, tags }: Surroundings,
): string | null {
  const holder = held.get(digest)
  if (holder !== undefined) return `${shortDigest(holder)}, which stays, needs it`
  for (const { tag } of tags) {
    const subject = subjectOfTag(tag)
    const isOrphan = subject !== null && state.absent.has(subject)
    if (subject !== null && !isOrphan && !going.has(subject))
      return `it belongs to ${shortDigest(subject)}, which stays`
  }
  for (const part of treeOf(state, digest)) {
    const node = state.nodes.get(part)
    if (node === undefined && part === digest) return 'its manifest was not read'
    const by = state.neededBy(part)
    if (by !== null) return `${by} needs ${shortDigest(part)}`
    const subject = node?.subject ?? null
    if (subject !== null && !going.has(subject) && !state.absent.has(subject))
      return `it refers to ${shortDigest(subject)}, which stays`
  }
  return null
}

/** Returns what the digests that stay hold below them, with the digest that holds it. */
function heldDigests(
  state: RepositoryState,
  byDigest: ReadonlyMap<string, readonly PruneTag[]>,
  candidates: ReadonlySet<string>,
): ReadonlyMap<string, string> {
  const held = new Map<string, string>()
  for (const root of state.roots) for (const digest of treeOf(state, root)) held.set(digest, root)
  const staying = [...byDigest.keys()].filter((root) => !candidates.has(root))
  for (const root of staying)
    for (const digest of treeOf(state, root)) if (digest !== root) held.set(digest, root)
  return held
}

/** Returns the candidates and what is below them, without what stays. */
function goingDigests(
  state: RepositoryState,
  byDigest: ReadonlyMap<string, readonly PruneTag[]>,
  candidates: ReadonlySet<string>,
): ReadonlySet<string> {
  const held = heldDigests(state, byDigest, candidates)
  const going = new Set<string>()
  for (const candidate of candidates)
    for (const digest of treeOf(state, candidate)) {
      const stays = byDigest.has(digest) && !candidates.has(digest)
      if (!stays && !held.has(digest) && state.neededBy(digest) === null) going.add(digest)
    }
  return going
}

/** Returns the digest and everything below it. */
function treeOf({ nodes }: RepositoryState, root: string): ReadonlySet<string> {
  const tree = new Set<string>()
  const open = [root]
  for (let digest = open.pop(); digest !== undefined; digest = open.pop()) {
    if (tree.has(digest)) continue
    tree.add(digest)
    open.push(...(nodes.get(digest)?.children ?? []))
  }
  return tree
}

function listRemovals(
  state: RepositoryState,
  byDigest: ReadonlyMap<string, readonly PruneTag[]>,
  candidates: ReadonlySet<string>,
): readonly Removal[] {
  const held = heldDigests(state, byDigest, candidates)
  const going = goingDigests(state, byDigest, candidates)
  const done = new Set<string>()
  /** Whether a manifest without a tag goes too. What was not read stays, because it may refer to something that stays. */
  const mayGo = (digest: string, referrerOf: string | null): boolean => {
    const node = state.nodes.get(digest)
    if (node === undefined || byDigest.has(digest) || held.has(digest)) return false
    if (done.has(digest) || state.neededBy(digest) !== null) return false
    return referrerOf === null
      ? node.subject === null || going.has(node.subject)
      : node.subject === referrerOf
  }
  const takeOthers = (digest: string): string[] => {
    const { children, referrers } = state.nodes.get(digest) ?? { children: [], referrers: [] }
    const take = (each: string, referrerOf: string | null): string[] => {
      if (!mayGo(each, referrerOf)) return []
      done.add(each)
      return [each, ...takeOthers(each)]
    }
    return [
      ...children.flatMap((each) => take(each, null)),
      ...referrers.flatMap((each) => take(each, digest)),
    ]
  }
  return [...candidates].map((digest) => ({
    digest,
    tags: (byDigest.get(digest) ?? []).map(({ tag }) => tag),
    others: takeOthers(digest),
  }))
}
