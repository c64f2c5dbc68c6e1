/** Image references as plain values, and their text forms. Pure. */
export interface Reference {
  /** Host and port as written, not lower-cased. Empty if the first part is not a valid host, as in `foo_bar.com/x`. */
  readonly domain: string
  /** Repository path without the host. It includes the `library/` of official Docker Hub images. */
  readonly path: string
  readonly tag: string | null
  /** `algorithm:hex`. If there is a digest, the runtime pulls by it and ignores the tag. */
  readonly digest: string | null
}

/** The tag of an image with neither tag nor digest (distribution/reference, TagNameOnly). */
export const defaultTag = 'latest'

/** The registry of an image without a host (distribution/reference, normalize.go). */
export const defaultDomain = 'docker.io'

/** The namespace of official Docker Hub images: `nginx` is `library/nginx`. */
export const officialNamespace = 'library/'

/** Returns `host/path`, without tag and digest. Patterns of the fallback table match this text. */
export function repositoryName({ domain, path }: Reference): string {
  return domain === '' ? path : `${domain}/${path}`
}

/** Returns the full image. `parseReference` of it gives the same reference, unless the domain is empty. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === null ? '' : `:${reference.tag}`
  const digest = reference.digest === null ? '' : `@${reference.digest}`
  return `${repositoryName(reference)}${tag}${digest}`
}

/** Returns the reference with the tag `latest` if it has neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  if (reference.tag !== null || reference.digest !== null) return reference
  return { ...reference, tag: defaultTag }
}

/** Returns the image as a container runtime pulls it: by digest without the tag, or by tag (ParseDockerRef). */
export function formatAsPulled(reference: Reference): string {
  if (reference.digest !== null) return formatReference({ ...reference, tag: null })
  return formatReference(withDefaultTag(reference))
}
