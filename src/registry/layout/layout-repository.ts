/** One repository of an image layout: the images whose names begin with it. All repositories share the blobs. */
import { isDigest } from '../../decision/reference/parse.ts'
import { textMember } from '../../json/json.ts'
import { digestLike, shortDigest } from '../digest.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import type { ImageRepository } from '../images/image-store.ts'
import { parseManifest } from '../manifests/manifest-json.ts'
import type { RawManifest } from '../manifests/manifests.ts'
import { subjectOf } from '../manifests/referrers.ts'
import type { LayoutBlobs } from './layout-blobs.ts'
import { imageEntry, type LayoutEntry, referrerEntry } from './layout-index.ts'
import type { LayoutIndexFile } from './layout-index-file.ts'
import type { ListLayoutReferrers } from './layout-referrers.ts'

export interface LayoutContent {
  /** `oci:DIR` or `oci-archive:FILE`. */
  readonly name: string
  readonly blobs: LayoutBlobs
  readonly index: LayoutIndexFile
  readonly listReferrers: ListLayoutReferrers
}

/** Opens a repository. `repository` has the host: `docker.io/library/nginx`. */
export function createLayoutRepository(
  { name: host, blobs, index, listReferrers }: LayoutContent,
  repository: string,
): ImageRepository {
  const ownEntries = (): readonly LayoutEntry[] =>
    index.entries.filter((entry) => entry.repository === repository)

  return {
    host,
    name: repository,
    canMount: true,
    pullsRemaining: null,
    headManifest(reference) {
      const isWanted = ({ tag, digest }: LayoutEntry) =>
        (isDigest(reference) ? digest : tag) === reference
      const entry = ownEntries().find(isWanted)
      if (entry === undefined) {
        return Promise.resolve(failed('absent', 'index.json does not list it'))
      }
      const { digest, mediaType } = entry
      return Promise.resolve({ outcome: 'found', digest, mediaType })
    },
    async getManifest({ digest, mediaType }) {
      const bytes = await blobs.readManifest(digest)
      if (bytes === null) {
        const detail = `${host} does not have manifest ${shortDigest(digest)} of ${repository}`
        throw new RegistryError(failed('absent', detail))
      }
      return { digest, bytes, mediaType: mediaTypeOf(bytes, mediaType) }
    },
    async hasManifest(digest) {
      return (await blobs.readManifest(digest)) !== null
    },
    async putManifest(reference, manifest, { signal }) {
      await writeManifest(blobs, manifest, signal)
      if (reference !== null) await index.put(imageEntry(manifest, repository, reference))
    },
    hasBlob: (blob, signal) => blobs.has(blob, signal),
    blobSource: (blob, { signal }) => blobs.source(blob, signal),
    putBlob: (blob, options) => blobs.put(blob, options),
    listTags() {
      const tags = ownEntries().flatMap(({ tag }) => (tag === null ? [] : [tag]))
      return Promise.resolve(ownEntries().length === 0 ? null : tags)
    },
    listReferrers,
    // A manifest that exists is verified, and not written again.
    hasReferrer: () => Promise.resolve(false),
    async putReferrer(manifest, { artifactType }, signal) {
      await writeManifest(blobs, manifest, signal)
      if (subjectOf(manifest.bytes) !== null) {
        await index.put(referrerEntry(manifest, artifactType))
      }
    },
  }
}

async function writeManifest(
  blobs: LayoutBlobs,
  { digest, bytes }: RawManifest,
  signal: AbortSignal,
): Promise<void> {
  if (digestLike(digest, bytes) !== digest) {
    const detail = `manifest ${shortDigest(digest)} does not match its digest`
    throw new RegistryError(failed('invalid', detail))
  }
  const blob = { digest, size: bytes.length }
  if (!(await blobs.has(blob, signal))) await blobs.write(blob, once(bytes))
}

/** Returns the type in the manifest, else the one that its parent or the index states, else the one that its members imply. */
function mediaTypeOf(bytes: Buffer, stated: string | undefined): string {
  const document = parseManifest(bytes, 'manifest')
  const own = textMember(document, 'mediaType')
  if (own !== '') return own
  if (stated !== undefined && stated !== '') return stated
  const kind = Array.isArray(document['manifests']) ? 'index' : 'manifest'
  return `application/vnd.oci.image.${kind}.v1+json`
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, void> {
  yield await Promise.resolve(bytes)
}
