/** Finds the cosign signatures of an image: in the tag `sha256-….sig`, and among its referrers. */
import { member, objectsMember, textMember } from '../json/json.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import { parseManifestOrEmpty } from '../registry/manifests/manifest-json.ts'
import type { ImageRepository } from '../registry/images/image-store.ts'
import { readBlob, readDescriptor } from '../registry/images/read-blob.ts'
import type { RawManifest } from '../registry/manifests/manifests.ts'
import { referrersTag } from '../registry/manifests/referrers.ts'
import type { ImageSignature } from '../signatures/check-signature.ts'
import { parseUntrustedObject } from '../signatures/claims.ts'

/** Cosign adds a signature each time that an image is signed again. Most images have one or two. */
export const maxSignatures = 64

/** Anyone who may push to the repository can add referrers. */
const maxReferrers = 64

/** A payload takes 300 bytes, and a bundle 5 to 15 KB. */
const maxSignatureBytes = 256 * 1024

const simpleSigningType = 'application/vnd.dev.cosign.simplesigning.v1+json'
const bundleType = /^application\/vnd\.dev\.sigstore\.bundle(?:\.v[0-9.]+)?\+json/

/** The artifact type of signatures that cosign 2 writes as referrers. */
const cosignArtifactType = 'application/vnd.dev.cosign.artifact.sig.v1+json'

/** Returns whether a referrer with this artifact type may be a signature. */
export function isSignatureType(artifactType = ''): boolean {
  return artifactType === cosignArtifactType || bundleType.test(artifactType)
}

/** Yields the signatures, at most 64. None of them is verified. Throws RegistryError. */
export async function* findSignatures(
  repository: ImageRepository,
  digest: string,
  signal: AbortSignal,
): AsyncGenerator<ImageSignature, void> {
  let count = 0
  for await (const { bytes } of signatureManifests(repository, digest, signal)) {
    for (const layer of objectsMember(parseManifestOrEmpty(bytes), 'layers')) {
      if (count === maxSignatures) return
      const read = readerOf(layer)
      const descriptor = readDescriptor(layer)
      if (read === null || descriptor === null) continue
      count += 1
      const blob = await ifUsable(() =>
        readBlob(repository, descriptor, { maxBytes: maxSignatureBytes, signal }),
      )
      const signature = blob === null ? null : read(blob)
      if (signature !== null) yield signature
    }
  }
}

/** Yields the manifests whose layers may be signatures. */
async function* signatureManifests(
  repository: ImageRepository,
  digest: string,
  signal: AbortSignal,
): AsyncGenerator<RawManifest, void> {
  const tagged = await repository.headManifest(`${referrersTag(digest)}.sig`, signal)
  if (tagged.outcome !== 'found' && tagged.outcome !== 'absent') throw new RegistryError(tagged)
  // GitLab returns the image itself for this tag.
  if (tagged.outcome === 'found' && tagged.digest !== digest) {
    const manifest = await ifUsable(() => repository.getManifest(tagged, signal))
    if (manifest !== null) yield manifest
  }
  const referrers = await repository.listReferrers(digest, signal)
  const signatures = referrers.filter(({ artifactType }) => isSignatureType(artifactType))
  for (const referrer of signatures.slice(0, maxReferrers)) {
    const manifest = await ifUsable(() => repository.getManifest(referrer, signal))
    if (manifest !== null) yield manifest
  }
}

/** Returns a function that reads the blob of a layer as a signature; null if the layer is something else. */
function readerOf(layer: unknown): ((blob: Buffer) => ImageSignature | null) | null {
  const mediaType = textMember(layer, 'mediaType')
  if (mediaType === simpleSigningType) {
    const annotations = member(layer, 'annotations')
    const signature = textMember(annotations, 'dev.cosignproject.cosign/signature')
    if (signature === '') return null
    return (payload) => ({
      format: 'simple-signing',
      payload,
      signature: Buffer.from(signature, 'base64'),
      annotations,
    })
  }
  if (!bundleType.test(mediaType)) return null
  return (blob) => {
    const bundle = parseUntrustedObject(blob)
    return bundle === null ? null : { format: 'bundle', bundle }
  }
}

/** Returns null for a part that is missing or invalid: others may be valid. Throws RegistryError if the registry does not answer. */
async function ifUsable<Content>(read: () => Promise<Content>): Promise<Content | null> {
  try {
    return await read()
  } catch (error) {
    const isUnusable =
      error instanceof RegistryError && (error.outcome === 'absent' || error.outcome === 'invalid')
    if (isUnusable) return null
    throw error
  }
}
