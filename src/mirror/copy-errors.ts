/** Adds to the errors of registries what they mean for a copy. */
import type { RequestFailure } from '../registry/http/network-error.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import { shortDigest } from '../registry/digest.ts'
import { displayHost } from '../registry/http/urls.ts'
import type { ImageRepository } from '../registry/images/image-store.ts'
import type { TreeBlob } from './image-tree.ts'

/** Adds the registry to the message, because two registries take part in a copy. */
export function lookupError(
  { host, name }: ImageRepository,
  failure: RequestFailure,
): RegistryError {
  const detail =
    failure.outcome === 'absent'
      ? `${host} has no such image in ${name} (${failure.detail})`
      : `${host}: ${failure.detail}`
  return new RegistryError({ ...failure, detail })
}

/** Adds the reason to the error of a registry that checks whether it has all manifests of an index. */
export function explainSparseIndex(error: unknown, { host }: ImageRepository): unknown {
  if (!(error instanceof RegistryError) || error.status < 400 || error.status >= 500) return error
  const detail = `${host} does not accept an index without its attestations (${error.message})`
  return new RegistryError({ outcome: error.outcome, detail }, error)
}

/** Adds the reason to the error of a registry that does not allow the URLs of foreign layers. */
export function explainForeignLayer(
  error: unknown,
  { host }: ImageRepository,
  { digest, vendorUrls: [url] = [] }: TreeBlob,
): unknown {
  const isRefused = error instanceof RegistryError && [400, 500].includes(error.status)
  if (!isRefused || url === undefined) return error
  const layer = `layer ${shortDigest(digest)} with a URL on ${displayHost(url)}`
  const detail = `${host} does not accept the manifest, which has the foreign ${layer}; allow it there with validation.manifests.urls.allow (${error.message})`
  return new RegistryError({ outcome: 'invalid', detail }, error)
}

/** Adds the reason to the error with which a registry refuses to move a tag (ECR, Harbor; distribution-spec: TAG_INVALID). */
export function explainImmutableTag(
  error: unknown,
  { host, name }: ImageRepository,
  tag: string,
): unknown {
  if (!(error instanceof RegistryError)) return error
  const isImmutable = error.status === 409 || error.status === 412 || error.code === 'TAG_INVALID'
  if (!isImmutable) return error
  const detail = `${host} already has another image as ${name}:${tag}, and its tags are immutable (${error.message})`
  return new RegistryError({ outcome: error.outcome, detail }, error)
}
