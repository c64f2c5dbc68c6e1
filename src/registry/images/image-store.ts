/** The interface through which copies read and write repositories of images: in registries, or in an OCI image layout. */
import type { ManifestAnswer } from '../../decision/resolve/manifest-source.ts'
import type { BlobDescriptor, BlobSource, BlobSourceOptions } from '../blobs/blob-source.ts'
import type { UploadOptions } from '../blobs/blob-upload.ts'
import type { PutOptions, RawManifest } from '../manifests/manifests.ts'
import type { Referrer } from '../manifests/referrers.ts'
import type { RepositoryAccess } from '../registry-client.ts'

export interface ImageStore {
  /** Throws RegistryError if the host is not known or its credentials cannot be read. */
  open(host: string, name: string, access: RepositoryAccess): Promise<ImageRepository>
  close(): Promise<void>
}

/** The methods throw RegistryError, and the signal's reason when it aborts. */
export interface ImageRepository {
  /** For messages: the host of the registry, or the path of the layout. */
  readonly host: string
  readonly name: string
  /** False after the registry refused to mount a blob. */
  readonly canMount: boolean
  /** The number of pulls that the rate limit still allows; null without a limit. */
  readonly pullsRemaining: number | null

  /** Resolves a tag or digest. An absent image is a result, not an error. */
  headManifest(reference: string, signal: AbortSignal): Promise<ManifestAnswer>
  /** Returns the verified bytes of a manifest. `mediaType` is the type that its parent states. */
  getManifest(
    manifest: { readonly digest: string; readonly mediaType?: string },
    signal: AbortSignal,
  ): Promise<RawManifest>
  hasManifest(digest: string, signal: AbortSignal): Promise<boolean>
  /** Returns when the manifest was stored, in milliseconds since the epoch; null if that is not known. */
  lastModified?(digest: string, signal: AbortSignal): Promise<number | null>
  /** Puts a manifest under a tag or digest; null for one that is only part of an index. */
  putManifest(reference: string | null, manifest: RawManifest, options: PutOptions): Promise<void>

  /** Returns whether the repository has the blob, in full size. */
  hasBlob(blob: BlobDescriptor, signal: AbortSignal): Promise<boolean>
  /** Returns a source that reads the blob and verifies it. */
  blobSource(blob: BlobDescriptor, options: BlobSourceOptions): BlobSource
  /** Mounts a blob, or uploads it. If it throws, the repository does not have the blob. */
  putBlob(blob: BlobDescriptor, options: PutBlobOptions): Promise<'mounted' | 'uploaded'>

  /** Returns all tags; null if the repository does not exist. */
  listTags(signal: AbortSignal): Promise<readonly string[] | null>
  listReferrers(digest: string, signal: AbortSignal): Promise<readonly Referrer[]>
  /** Returns true if the repository has the referrer completely, so that nothing must be put again. */
  hasReferrer(referrer: Referrer, signal: AbortSignal): Promise<boolean>
  /** Puts a manifest of a referrer, and lists the referrer for the subject of that manifest. */
  putReferrer(manifest: RawManifest, referrer: Referrer, signal: AbortSignal): Promise<void>
}

export interface PutBlobOptions extends UploadOptions {
  /** A repository of the same store that has the blob; null if none is known. */
  readonly mountFrom: string | null
  /** Called if the blob is not mounted. */
  readonly open: () => Promise<BlobSource>
}
