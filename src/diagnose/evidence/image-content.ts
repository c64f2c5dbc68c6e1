/** What a registry holds beside the manifest that a pod asks for: tags, platforms, blobs, and how many pulls are left. */
import type { Credential } from '../../credentials/keychain.ts'
import { nearest, type Seen, type ProbeSubject } from './probe-evidence.ts'
import { isObject, member } from '../../json/json.ts'
import type { RegistryProbe } from '../../registry/probe/registry-probe.ts'

/** An image of many platforms has some hundred blobs; more would take minutes. */
const maxBlobs = 200

export type Further = Pick<Seen, 'tags' | 'near' | 'quota' | 'platforms' | 'blobs'>

/** Before anybody has asked. */
export const nothing: Further & Pick<Seen, 'tries'> = {
  tries: [],
  tags: null,
  near: [],
  quota: null,
  platforms: null,
  blobs: null,
}

/** A manifest, and who was let in to it. */
export interface Inside {
  readonly wanted: readonly ProbeSubject[]
  readonly path: string
  readonly name: string
  readonly credential: Credential | null
  /** Whether the registry lets this credential see anything at all. */
  readonly isLetIn: boolean
  /** Whether the manifest is there. */
  readonly isThere: boolean
}

/** Asks for what bears on a rule. */
export async function lookFurther(look: RegistryProbe, inside: Inside): Promise<Further> {
  const { wanted, path, name, credential, isLetIn } = inside
  const { tags, near } = wanted.includes('tags') && isLetIn ? await tagsNear(look, inside) : nothing
  return {
    tags,
    near,
    quota: wanted.includes('quota') ? await look.quota(credential) : null,
    platforms:
      wanted.includes('platforms') && isLetIn
        ? platformsOf(await look.document(path, name, credential))
        : null,
    blobs: wanted.includes('blobs') && isLetIn ? await blobsOf(look, inside) : null,
  }
}

/** Only tags that were asked for and are there are ever told. */
async function tagsNear(
  look: RegistryProbe,
  { path, name, credential, isThere }: Inside,
): Promise<Pick<Seen, 'tags' | 'near'>> {
  const tags = await look.tags(path, credential)
  if (tags === null || tags === 'absent' || isThere || name.includes(':')) return { tags, near: [] }
  const near: string[] = []
  for (const tag of nearest(name, tags)) {
    const { outcome } = await look.manifest(path, tag, credential)
    if (outcome === 'found') near.push(tag)
  }
  return { tags, near }
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

/** Asks for every blob of a manifest, or of all the manifests of an index. */
async function blobsOf(
  look: RegistryProbe,
  { path, name, credential }: Inside,
): Promise<Seen['blobs']> {
  const document = await look.document(path, name, credential)
  const children = listOf(member(document, 'manifests'))
  const manifests =
    children.length === 0
      ? [document]
      : await Promise.all(children.map((each) => look.document(path, digestOf(each), credential)))
  const digests = manifests
    .flatMap((each) => [member(each, 'config'), ...listOf(member(each, 'layers'))])
    .map(digestOf)
    .filter((digest) => digest !== '')
  const all = [...new Set(digests)].slice(0, maxBlobs)
  const missing: string[] = []
  for (const digest of all)
    if ((await look.hasBlob(path, digest, credential)) === false) missing.push(digest)
  return all.length === 0 ? null : { asked: all.length, missing }
}

function digestOf(descriptor: unknown): string {
  const digest = member(descriptor, 'digest')
  return typeof digest === 'string' && /^sha(?:256|512):[0-9a-f]+$/.test(digest) ? digest : ''
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}
