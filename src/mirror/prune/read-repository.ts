/** Reads what a repository of a mirror has: its tags, and the manifests and referrers below those that may be removed. */
import { createLimit, type Limit } from '../../async/limit.ts'
import { isDigest } from '../../decision/reference/parse.ts'
import { objectsMember, textMember } from '../../json/json.ts'
import { acceptHeader } from '../../registry/manifests/manifest-headers.ts'
import { maxManifestBytes, parseManifest } from '../../registry/manifests/manifest-json.ts'
import { lookUpManifest } from '../../registry/manifests/manifest-lookup.ts'
import { getManifest, hasManifest } from '../../registry/manifests/manifests.ts'
import { listReferrers, referrersTag, subjectOf } from '../../registry/manifests/referrers.ts'
import { RegistryError } from '../../registry/http/registry-error.ts'
import type { Repository } from '../../registry/registry-client.ts'
import { type PruneNode, type PruneTag, subjectOfTag } from './plan-removals.ts'

/** What a tag has now. */
export interface TagState {
  readonly tag: string
  readonly digest: string
  readonly mediaType: string
  /** `Last-Modified` in milliseconds since the epoch; null if the registry sends none. docker-registry does not. */
  readonly modifiedAt: number | null
}

/** A tag that Berth cannot read, for example of a schema 1 image. */
export interface UnreadTag {
  readonly tag: string
  readonly problem: string
}

/** Images nest two deep, and a referrer of a referrer is a signature of an SBOM. The limit stops a malicious one. */
const maxDepth = 8

/** Manifests of one repository that are kept in memory: 200 bytes each. */
const maxNodes = 200_000

/** Returns what a tag has; null if it does not exist any more. Throws RegistryError if the registry does not answer. */
export async function readTag(
  repository: Repository,
  tag: string,
  signal: AbortSignal,
): Promise<TagState | UnreadTag | null> {
  let modified = ''
  const answer = await lookUpManifest({
    reference: tag,
    headSupport: repository.headSupport,
    now: repository.now,
    send: async (method, consumer) => {
      const response = await repository.send({
        method,
        target: `manifests/${tag}`,
        headers: { accept: acceptHeader },
        maxBodyBytes: maxManifestBytes,
        ...(consumer === undefined ? {} : { consumer }),
        signal,
      })
      modified = response.header('last-modified')[0] ?? ''
      return { ok: true, response }
    },
  })
  if (answer.outcome === 'absent') return null
  if (answer.outcome === 'invalid') return { tag, problem: answer.detail }
  if (answer.outcome !== 'found') throw new RegistryError(answer)
  const date = modified.endsWith('GMT') ? Date.parse(modified) : Number.NaN
  const { digest, mediaType } = answer
  return { tag, digest, mediaType, modifiedAt: Number.isNaN(date) ? null : date }
}

export interface ReadGraphOptions {
  readonly tags: readonly (TagState & Pick<PruneTag, 'keep'>)[]
  /** Digests without a tag that stay, if they exist. */
  readonly needed: readonly string[]
  /** Requests at the same time. */
  readonly jobs: number
  readonly signal: AbortSignal
}

export interface RepositoryGraph {
  readonly nodes: ReadonlyMap<string, PruneNode>
  /** The digests of `needed` that exist. */
  readonly roots: readonly string[]
  /** Digests that tags of signatures name, and that do not exist. */
  readonly absent: ReadonlySet<string>
}

interface Reading {
  readonly repository: Repository
  readonly limit: Limit
  readonly signal: AbortSignal
  readonly tagNames: ReadonlySet<string>
  readonly nodes: Map<string, PruneNode>
}

/**
 * Reads the indexes of what stays, and everything below what may go. Throws RegistryError if a manifest cannot be read: it may
 * hold something that is needed.
 */
export async function readGraph(
  repository: Repository,
  { tags, needed, jobs, signal }: ReadGraphOptions,
): Promise<RepositoryGraph> {
  const reading: Reading = {
    repository,
    limit: createLimit(jobs),
    signal,
    tagNames: new Set(tags.map(({ tag }) => tag)),
    nodes: new Map(),
  }
  const stays = new Set(tags.flatMap(({ digest, keep }) => (keep === null ? [] : [digest])))
  // The signature of an image that stays need not be read to stay.
  const kept = new Set(stays)
  for (const { tag, digest } of tags) if (kept.has(subjectOfTag(tag) ?? '')) stays.add(digest)
  const going = tags.filter(({ digest }) => !stays.has(digest))
  const staying = tags.filter(({ digest, mediaType }) => stays.has(digest) && isIndex(mediaType))
  await Promise.all(unique(staying).map((digest) => readIndexes(reading, digest)))
  const roots = await Promise.all(
    needed.map(async (digest) => ((await readIndexes(reading, digest)) ? [digest] : [])),
  )
  await Promise.all(unique(going).map((digest) => readAll(reading, digest, 0)))
  const subjects = tags.flatMap(({ tag }) => subjectOfTag(tag) ?? [])
  const absent = await Promise.all(
    [...new Set(subjects)].map((subject) =>
      reading.limit(async () => {
        if (reading.nodes.has(subject)) return []
        return (await hasManifest(repository, subject, signal)) ? [] : [subject]
      }),
    ),
  )
  return { nodes: reading.nodes, roots: roots.flat(), absent: new Set(absent.flat()) }
}

const unique = (tags: readonly TagState[]) => [...new Set(tags.map(({ digest }) => digest))]

function isIndex(mediaType: string): boolean {
  return /\.(?:index|manifest\.list)\./.test(mediaType)
}

/** Reads a manifest that stays, and the indexes below it. Returns false if it does not exist. */
async function readIndexes(reading: Reading, digest: string, depth = 0): Promise<boolean> {
  const read = await readNode(reading, digest, depth)
  if (read === null) return false
  const indexes = read.children.filter(({ mediaType }) => mediaType === '' || isIndex(mediaType))
  await Promise.all(indexes.map((each) => readIndexes(reading, each.digest, depth + 1)))
  return true
}

/** Reads a manifest that may go, and everything below it and that refers to it. */
async function readAll(reading: Reading, digest: string, depth: number): Promise<void> {
  const read = await readNode(reading, digest, depth)
  if (read === null) return
  const { repository, limit, signal, tagNames, nodes } = reading
  const mayHaveReferrers =
    repository.state.hasReferrersApi !== false || tagNames.has(referrersTag(digest))
  const referrers = mayHaveReferrers
    ? (await limit(() => listReferrers(repository, digest, signal))).map((each) => each.digest)
    : []
  nodes.set(digest, { ...read.node, referrers })
  const below = [...read.children.map((each) => each.digest), ...referrers]
  await Promise.all(below.map((each) => readAll(reading, each, depth + 1)))
}

interface ReadNode {
  readonly node: PruneNode
  readonly children: readonly { readonly digest: string; readonly mediaType: string }[]
}

/** Returns null if the manifest does not exist, or was read before. */
async function readNode(
  { repository, limit, signal, nodes }: Reading,
  digest: string,
  depth: number,
): Promise<ReadNode | null> {
  const { name } = repository
  if (nodes.has(digest) && depth > 0) return null
  if (depth > maxDepth) throw tooLarge(`${name}@${digest} nests more than ${maxDepth} deep`)
  if (nodes.size > maxNodes) throw tooLarge(`${name} has more than 200,000 manifests`)
  return limit(async () => {
    try {
      const { bytes } = await getManifest(repository, { digest }, signal)
      const children = objectsMember(parseManifest(bytes, `manifest ${digest}`), 'manifests').map(
        (entry) => ({
          digest: textMember(entry, 'digest'),
          mediaType: textMember(entry, 'mediaType'),
        }),
      )
      const broken = children.find((child) => !isDigest(child.digest))
      if (broken !== undefined) throw tooLarge(`${name}@${digest} has an entry without a digest`)
      const below = children.map((child) => child.digest)
      const node = { children: below, subject: subjectOf(bytes), referrers: [] }
      nodes.set(digest, node)
      return { node, children }
    } catch (error) {
      if (error instanceof RegistryError && error.outcome === 'absent') return null
      throw error
    }
  })
}

function tooLarge(detail: string): RegistryError {
  return new RegistryError({ outcome: 'invalid', detail })
}
