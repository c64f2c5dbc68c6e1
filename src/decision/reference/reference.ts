/**
 * A parsed image name as a plain value. Who asks for an image, and where it should come from, is decided elsewhere:
 * this room only knows what a name says. Nothing here does input or output.
 */
export interface Reference {
  /** Host with its port as written, never lower-cased; empty for a name such as `foo_bar.com/x`, whose host is no host. */
  readonly domain: string
  /** Repository path without the host; `library/` is already there for one-word Docker Hub names. */
  readonly path: string
  readonly tag: string | null
  /** `algorithm:hex`; when present it decides what is pulled, and the tag beside it is for people. */
  readonly digest: string | null
}

/** What a runtime pulls when neither tag nor digest is given (distribution/reference, TagNameOnly). */
export const defaultTag = 'latest'

/** The registry that a name without a host means (distribution/reference, normalize.go). */
export const defaultDomain = 'docker.io'

/** Where one-word Docker Hub names live: `nginx` is `library/nginx`. */
export const officialNamespace = 'library/'

/** `host/path` without tag and digest: what fallback patterns are matched against. */
export function repositoryName({ domain, path }: Reference): string {
  return domain === '' ? path : `${domain}/${path}`
}

/** The whole name, nothing left out, nothing added: `parse(format(r))` gives `r` back. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === null ? '' : `:${reference.tag}`
  const digest = reference.digest === null ? '' : `@${reference.digest}`
  return `${repositoryName(reference)}${tag}${digest}`
}

/** The name with the tag that a runtime would assume, so that two spellings of one image become equal. */
export function withDefaultTag(reference: Reference): Reference {
  if (reference.tag !== null || reference.digest !== null) return reference
  return { ...reference, tag: defaultTag }
}

/** What a container runtime pulls: with a digest present the tag plays no part (ParseDockerRef). */
export function formatAsPulled(reference: Reference): string {
  if (reference.digest !== null) return formatReference({ ...reference, tag: null })
  return formatReference(withDefaultTag(reference))
}

/** The short form that people write: no `docker.io/`, and no `library/` before one word. */
export function formatFamiliar(reference: Reference): string {
  if (reference.domain !== defaultDomain) return formatReference(reference)
  const rest = reference.path.slice(officialNamespace.length)
  const official = reference.path.startsWith(officialNamespace) && !rest.includes('/')
  const shown = official ? { ...reference, path: rest } : reference
  return formatReference({ ...shown, domain: '' })
}
