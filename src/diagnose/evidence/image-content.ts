/** Asks a registry what a rule needs apart from the manifest: tags, platforms, blobs, and the pull quota. */
import type { Credential } from '../../credentials/keychain.ts'
import { member, objectsMember, textMember } from '../../json/json.ts'
import type { RegistryProbe } from '../../registry/probe/registry-probe.ts'
import { similarTags } from '../../text/similar-tags.ts'
import type { ProbeSubject } from '../rules/rule.ts'
import type { ProbeReport } from './probe-report.ts'

/** An image with many platforms has about a hundred blobs; more would take minutes. */
const maxBlobs = 200

/** A longer list would not be a hint. */
const maxSimilarTags = 3

export type ImageContent = Pick<
  ProbeReport,
  'tags' | 'similarTags' | 'quota' | 'platforms' | 'blobs'
>

/** The content when nothing was asked. */
export const emptyContent: ImageContent = {
  tags: null,
  similarTags: [],
  quota: null,
  platforms: null,
  blobs: null,
}

export interface ContentRequest {
  readonly subjects: readonly ProbeSubject[]
  readonly path: string
  /** The tag or digest. */
  readonly name: string
  readonly credential: Credential | null
  /** True if the registry accepts the credential for this repository. */
  readonly isLetIn: boolean
  /** True if the manifest exists. */
  readonly isFound: boolean
}

/** Asks about each of the subjects. */
export async function probeContent(
  registry: RegistryProbe,
  request: ContentRequest,
): Promise<ImageContent> {
  const { subjects, path, name, credential, isLetIn } = request
  const wants = (subject: ProbeSubject) => isLetIn && subjects.includes(subject)
  return {
    ...emptyContent,
    ...(wants('tags') && (await probeTags(registry, request))),
    quota: subjects.includes('quota') ? await registry.quota(credential) : null,
    platforms: wants('platforms')
      ? platformsOf(await registry.document(path, name, credential))
      : null,
    blobs: wants('blobs') ? await probeBlobs(registry, request) : null,
  }
}

/** Lists the tags and asks for each similar one, so that only tags that exist are suggested. */
async function probeTags(
  registry: RegistryProbe,
  { path, name, credential, isFound }: ContentRequest,
): Promise<Pick<ProbeReport, 'tags' | 'similarTags'>> {
  const tags = await registry.tags(path, credential)
  const isDigest = name.includes(':')
  if (tags === null || tags === 'absent' || isFound || isDigest) return { tags, similarTags: [] }
  const existing: string[] = []
  const candidates = similarTags(name, tags).filter((tag) => tag !== name)
  for (const tag of candidates.slice(0, maxSimilarTags)) {
    const { outcome } = await registry.manifest(path, tag, credential)
    if (outcome === 'found') existing.push(tag)
  }
  return { tags, similarTags: existing }
}

function platformsOf(document: unknown): string[] | null {
  const manifests = member(document, 'manifests')
  if (!Array.isArray(manifests)) return null
  const platforms = manifests.map((each) => {
    const platform = member(each, 'platform')
    return `${String(member(platform, 'os'))}/${String(member(platform, 'architecture'))}`
  })
  return [...new Set(platforms)].filter((each) => each !== 'unknown/unknown').toSorted()
}

/** Asks for every blob of a manifest, or of all manifests of an index. */
async function probeBlobs(
  registry: RegistryProbe,
  { path, name, credential }: ContentRequest,
): Promise<ProbeReport['blobs']> {
  const document = await registry.document(path, name, credential)
  const children = objectsMember(document, 'manifests')
  const manifests =
    children.length === 0
      ? [document]
      : await Promise.all(
          children.map((each) => registry.document(path, digestOf(each), credential)),
        )
  const digests = manifests
    .flatMap((each) => [member(each, 'config'), ...objectsMember(each, 'layers')])
    .map(digestOf)
    .filter((digest) => digest !== '')
  const asked = [...new Set(digests)].slice(0, maxBlobs)
  const missing: string[] = []
  for (const digest of asked)
    if ((await registry.hasBlob(path, digest, credential)) === false) missing.push(digest)
  return asked.length === 0 ? null : { asked: asked.length, missing }
}

function digestOf(descriptor: unknown): string {
  const digest = textMember(descriptor, 'digest')
  return /^sha(?:256|512):[0-9a-f]+$/.test(digest) ? digest : ''
}
