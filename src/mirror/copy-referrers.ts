/** Copies the signatures, SBOMs and attestations of an image and of its platforms. */
import type { BlobDescriptor } from '../registry/blobs/blob-source.ts'
import { shortDigest } from '../registry/digest.ts'
import { failed } from '../registry/http/network-error.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import { type Referrer, referrersTag } from '../registry/manifests/referrers.ts'
import type { ImageRepository } from '../registry/images/image-store.ts'
import { isSignatureType } from './find-signatures.ts'
import { blobsOf, type ManifestNode, postOrder, readTree } from './image-tree.ts'

export interface ReferrerCopyOptions {
  readonly from: ImageRepository
  readonly to: ImageRepository
  readonly signal: AbortSignal
  /** True: copies only signatures, and not SBOMs and attestations of other tools. */
  readonly onlySignatures: boolean
  /** Copies the blobs of a tree to the destination. */
  readonly copyBlobs: (blobs: readonly BlobDescriptor[]) => Promise<void>
}

/** A signature of a signature of an SBOM has depth three. */
const maxDepth = 5

/** The tags that cosign writes to registries without referrers. */
const cosignSuffixes = ['.sig', '.att', '.sbom'] as const

/** Copies all referrers. Throws RegistryError. */
export async function copyReferrers(
  options: ReferrerCopyOptions,
  image: ManifestNode,
): Promise<void> {
  for (const { manifest } of postOrder(image)) {
    await copyReferrersOf(options, manifest.digest, 0)
    await copyCosignTags(options, manifest.digest)
  }
}

async function copyReferrersOf(
  options: ReferrerCopyOptions,
  subject: string,
  depth: number,
): Promise<void> {
  const { from, signal, onlySignatures } = options
  const all = await from.listReferrers(subject, signal)
  const referrers = all.filter((each) => !onlySignatures || isSignatureType(each.artifactType))
  if (depth === maxDepth && referrers.length > 0) {
    const detail = `the referrers of ${from.name}@${shortDigest(subject)} nest more than ${maxDepth} deep`
    throw new RegistryError(failed('invalid', detail))
  }
  for (const referrer of referrers) {
    await copyReferrer(options, referrer)
    await copyReferrersOf(options, referrer.digest, depth + 1)
  }
}

async function copyReferrer(
  { from, to, signal, copyBlobs }: ReferrerCopyOptions,
  entry: Referrer,
): Promise<void> {
  const tree = await readTree(from, entry, { signal })
  if (await to.hasReferrer(entry, signal)) return
  await copyBlobs(blobsOf(tree))
  for (const { manifest } of postOrder(tree)) await to.putReferrer(manifest, entry, signal)
}

/** Copies tags such as `sha256-<hex>.sig`. */
async function copyCosignTags(
  { from, to, signal, onlySignatures, copyBlobs }: ReferrerCopyOptions,
  subject: string,
): Promise<void> {
  for (const suffix of onlySignatures ? ['.sig'] : cosignSuffixes) {
    const tag = `${referrersTag(subject)}${suffix}`
    const head = await from.headManifest(tag, signal)
    // GitLab returns the image itself for this tag.
    if (head.outcome !== 'found' || head.digest === subject) continue
    const current = await to.headManifest(tag, signal)
    if (current.outcome === 'found' && current.digest === head.digest) continue
    const tree = await readTree(from, head, { signal })
    await copyBlobs(blobsOf(tree))
    for (const { manifest } of postOrder(tree)) {
      const isRoot = manifest.digest === head.digest
      await to.putManifest(isRoot ? tag : null, manifest, { signal })
    }
  }
}
