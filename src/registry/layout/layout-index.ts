/** The index.json of an image layout (image-spec 1.1, image-layout.md): which images it has, and their names. Pure. */
import { isDigest, parseReference } from '../../decision/reference/parse.ts'
import { repositoryName } from '../../decision/reference/reference.ts'
import { canonicalReference } from '../../decision/fallback/registry-aliases.ts'
import { isObject, type JsonObject, member, textMember } from '../../json/json.ts'
import { parseManifest } from '../manifests/manifest-json.ts'
import type { RawManifest } from '../manifests/manifests.ts'
import { RegistryError } from '../http/registry-error.ts'
import { failed } from '../http/network-error.ts'

/** The annotation that skopeo, podman, oras and crane read (image-spec, Pre-Defined Annotation Keys). */
const refName = 'org.opencontainers.image.ref.name'

/** The annotation that containerd prefers (containerd, images/annotations.go). */
const containerdName = 'io.containerd.image.name'

const indexType = 'application/vnd.oci.image.index.v1+json'

export interface LayoutEntry {
  readonly digest: string
  readonly mediaType: string
  /** Bytes. */
  readonly size: number
  /** The repository with its host, such as `docker.io/library/nginx`; null for an entry without an image's name. */
  readonly repository: string | null
  /** Null for a name with a digest only. */
  readonly tag: string | null
  /** The descriptor with all its members. */
  readonly descriptor: JsonObject
}

/** Parses an index.json. `name` is for messages. Throws RegistryError. */
export function parseLayoutIndex(bytes: Buffer, name: string): readonly LayoutEntry[] {
  const { manifests } = parseManifest(bytes, name)
  if (!Array.isArray(manifests)) {
    throw new RegistryError(failed('invalid', `${name} has no list of manifests`))
  }
  return manifests.map((descriptor: unknown) => {
    const [digest, size] = [textMember(descriptor, 'digest'), member(descriptor, 'size')]
    const isSize = typeof size === 'number' && Number.isSafeInteger(size) && size >= 0
    if (!isObject(descriptor) || !isDigest(digest) || !isSize) {
      const detail = `${name} has a descriptor without a valid digest and size`
      throw new RegistryError(failed('invalid', detail))
    }
    const mediaType = textMember(descriptor, 'mediaType')
    return { digest, mediaType, size, ...readName(descriptor), descriptor }
  })
}

/** Returns the text of an index.json. */
export function formatLayoutIndex(entries: readonly LayoutEntry[]): Buffer {
  const manifests = entries.map(({ descriptor }) => descriptor)
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }))
}

/** Returns the entry of an image: `reference` is its tag or digest. */
export function imageEntry(
  { digest, mediaType, bytes }: RawManifest,
  repository: string,
  reference: string,
): LayoutEntry {
  const tag = isDigest(reference) ? null : reference
  const name = `${repository}${tag === null ? '@' : ':'}${reference}`
  const annotations = { [containerdName]: name, [refName]: name }
  const size = bytes.length
  const descriptor = { mediaType, digest, size, annotations }
  return { digest, mediaType, size, repository, tag, descriptor }
}

/** Returns the entry of a signature, an SBOM or another referrer, which has no name. */
export function referrerEntry(
  { digest, mediaType, bytes }: RawManifest,
  artifactType: string | undefined,
): LayoutEntry {
  const size = bytes.length
  const descriptor = { mediaType, digest, size, ...(artifactType ? { artifactType } : {}) }
  return { digest, mediaType, size, repository: null, tag: null, descriptor }
}

/** Returns true if two entries cannot both be in an index: they have the same name, or are the same referrer. */
export function isSameEntry(one: LayoutEntry, other: LayoutEntry): boolean {
  if (one.repository !== other.repository || one.tag !== other.tag) return false
  return one.tag !== null || one.digest === other.digest
}

/** Ignores a name without a repository, such as `latest`, which other tools write into layouts of one image. */
function readName({ annotations }: JsonObject): Pick<LayoutEntry, 'repository' | 'tag'> {
  const none = { repository: null, tag: null }
  const name = textMember(annotations, containerdName) || textMember(annotations, refName)
  if (!/[/:@]/.test(name)) return none
  const parsed = parseReference(name)
  if (!parsed.ok) return none
  const reference = canonicalReference(parsed.reference)
  return { repository: repositoryName(reference), tag: reference.tag }
}
