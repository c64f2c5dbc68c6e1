/**
 * Parses image references by the grammar of github.com/distribution/reference v0.6.0 (reference.go, normalize.go,
 * regexp.go):
 *
 *     reference       := name [ ":" tag ] [ "@" digest ]
 *     name            := [ domain "/" ] path-component *( "/" path-component )
 *     domain          := ( domain-name / IPv4 / "[" IPv6 "]" ) [ ":" 1*digit ]
 *     domain-name     := domain-component *( "." domain-component )
 *     path-component  := alpha-numeric *( separator alpha-numeric )     alpha-numeric := 1*( a-z / 0-9 )
 *     separator       := "." / "_" / "__" / 1*"-"
 *     tag             := [A-Za-z0-9_] then at most 127 of [A-Za-z0-9_.-]
 *     digest          := algorithm ":" 32*hexdigit, and then a second check by algorithm
 *
 * Each pattern can match a text in one way only, so matching takes time linear in the length of the text.
 * No pattern has the flags `i` or `u`, with which `\w` would accept the Kelvin sign.
 */
import {
  defaultDomain,
  formatReference,
  officialNamespace,
  type Reference,
  withDefaultTag,
} from './reference.ts'

/** Why a text is not an image reference. docs/errors.md lists these codes. */
export type ReferenceErrorCode =
  | 'invalid-format'
  | 'name-uppercase'
  | 'name-too-long'
  | 'hex-identifier'
  | 'digest-invalid-format'
  | 'digest-invalid-length'
  | 'digest-unsupported'

export type ParseResult =
  | { readonly ok: true; readonly reference: Reference }
  | { readonly ok: false; readonly code: ReferenceErrorCode; readonly message: string }

/** In UTF-16 units. Path, tag and the longest digest need 600, but a pod can hold an image of megabytes. */
const maxTextLength = 4096

/** The longest name in DNS (RFC 1035, section 3.1). A container runtime cannot resolve a longer one. */
const maxHostLength = 253

/** distribution/reference, RepositoryNameTotalLengthMax. Since v0.6.0 the domain does not count. */
const maxPathLength = 255

const alphanumeric = '[a-z0-9]+'
const component = `${alphanumeric}(?:(?:\\.|__?|-+)${alphanumeric})*`
const domainComponent = '[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*'
const domain = `(?:${domainComponent}(?:\\.${domainComponent})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`
const tag = '[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}'
const algorithm = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*'

const domainPattern = new RegExp(`^${domain}$`)
const tagPattern = new RegExp(`^${tag}$`)
const restPattern = new RegExp(
  `^(${component}(?:/${component})*)(?::(${tag}))?(?:@(${algorithm}:[0-9a-fA-F]{32,}))?$`,
)
const identifierPattern = /^[a-f0-9]{64}$/
const digestShape = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/

/** Hexadecimal digits of a digest, by algorithm (opencontainers/go-digest, algorithm.go). */
const hexLengths: ReadonlyMap<string, number> = new Map([
  ['sha256', 64],
  ['sha384', 96],
  ['sha512', 128],
])

/**
 * Parses an image as pods write it (ParseNormalizedNamed): `nginx` becomes `docker.io/library/nginx`, and the host
 * `index.docker.io` becomes `docker.io`. Never throws. Takes time linear in the length of the text.
 *
 * @example parseReference('nginx:1.27') // { ok: true, reference: { domain: 'docker.io', path: 'library/nginx', tag: '1.27', digest: null } }
 */
export function parseReference(text: string): ParseResult {
  if (text.length > maxTextLength) {
    return failure('invalid-format', `the image has more than ${maxTextLength} characters`)
  }
  if (identifierPattern.test(text)) {
    return failure(
      'hex-identifier',
      '64 hexadecimal digits are an image ID; write the repository of the image instead',
    )
  }
  const { host, rest } = splitHost(text)
  const hostLength = host.replace(/:[0-9]*$/, '').length
  if (hostLength > maxHostLength) {
    return failure(
      'invalid-format',
      `the host has ${hostLength} characters; the maximum is ${maxHostLength}`,
    )
  }
  const [beforeColon = ''] = rest.split(':', 1)
  if (beforeColon.toLowerCase() !== beforeColon) {
    return failure('name-uppercase', lowerCaseRule)
  }
  const reference = matchParts(host, rest)
  if (reference === null) {
    const isValidInLowerCase =
      text.toLowerCase() !== text && matchParts(host.toLowerCase(), rest.toLowerCase()) !== null
    return isValidInLowerCase
      ? failure('name-uppercase', lowerCaseRule)
      : failure('invalid-format', hintFor(text))
  }
  const { path, digest } = reference
  if (path.length > maxPathLength) {
    return failure(
      'name-too-long',
      `the repository path has ${path.length} characters; the maximum is ${maxPathLength}`,
    )
  }
  const code = digest === null ? null : checkDigest(digest)
  return code === null ? { ok: true, reference } : failure(code, digestMessages[code])
}

const lowerCaseRule = 'the repository name has upper-case letters; only lower case is allowed'

/** Returns true for a digest of sha256, sha384 or sha512 with the exact length and in lower case. */
export function isDigest(text: string): boolean {
  return checkDigest(text) === null
}

/** Returns true for a tag: one `[A-Za-z0-9_]`, then at most 127 of `[A-Za-z0-9_.-]`. */
export function isTag(text: string): boolean {
  return tagPattern.test(text)
}

/** Returns true if a container runtime pulls the same image for both references. A missing tag is `latest`. */
export function isSameImage(one: Reference, other: Reference): boolean {
  return formatReference(withDefaultTag(one)) === formatReference(withDefaultTag(other))
}

/** Splits off the host. The text before the first `/` is a host only if it cannot be a Docker Hub user (splitDockerDomain). */
function splitHost(text: string): { host: string; rest: string } {
  const slash = text.indexOf('/')
  if (slash < 0) return { host: defaultDomain, rest: officialNamespace + text }
  const first = text.slice(0, slash)
  const isHost = first === 'localhost' || /[.:]/.test(first) || first.toLowerCase() !== first
  const host = !isHost || first === 'index.docker.io' ? defaultDomain : first
  const rest = isHost ? text.slice(slash + 1) : text
  return {
    host,
    rest: host === defaultDomain && !rest.includes('/') ? officialNamespace + rest : rest,
  }
}

function matchParts(host: string, rest: string): Reference | null {
  // If the host is not a domain (`foo_bar.com`), it may be a path component. The domain is then empty.
  const isDomain = domainPattern.test(host)
  const match = restPattern.exec(isDomain ? rest : `${host}/${rest}`)
  if (match === null) return null
  const [, path = '', tagText, digestText] = match
  return { domain: isDomain ? host : '', path, tag: tagText ?? null, digest: digestText ?? null }
}

type DigestErrorCode = Extract<ReferenceErrorCode, `digest-${string}`>

const digestMessages: Readonly<Record<DigestErrorCode, string>> = {
  'digest-invalid-format':
    'the digest is malformed; it must be `sha256:` and 64 lower-case hexadecimal digits',
  'digest-invalid-length': 'the digest has the wrong number of digits; sha256 has 64',
  'digest-unsupported': 'the digest algorithm is not sha256, sha384 or sha512',
}

/** The check that follows the grammar (opencontainers/go-digest, Digest.Validate). Returns null for a valid digest. */
function checkDigest(text: string): DigestErrorCode | null {
  const colon = text.indexOf(':')
  const hex = text.slice(colon + 1)
  if (colon <= 0 || hex === '') return 'digest-invalid-format'
  const length = hexLengths.get(text.slice(0, colon))
  if (length === undefined)
    return digestShape.test(text) ? 'digest-unsupported' : 'digest-invalid-format'
  if (hex.length !== length) return 'digest-invalid-length'
  return /^[a-f0-9]+$/.test(hex) ? null : 'digest-invalid-format'
}

function failure(code: ReferenceErrorCode, message: string): ParseResult {
  return { ok: false, code, message }
}

/** What is wrong with a text that does not match the grammar: the first hint that applies. */
const formatHints: readonly (readonly [(text: string) => boolean, string])[] = [
  [(text) => text === '', 'the image is empty'],
  [(text) => text.trim() !== text, 'there is white space around the image; remove it'],
  [(text) => /\s/.test(text), 'there is white space in the image'],
  [(text) => /\$[({]|\{\{/.test(text), 'a variable in the image was not replaced'],
  [
    (text) => /^[a-z][a-z0-9+.-]*:\/\//.test(text),
    'an image has no scheme; remove everything up to `//`',
  ],
  [(text) => /[^ -~]/.test(text), 'the image has characters that are not ASCII'],
  [(text) => text.endsWith(':'), 'the tag after the last `:` is empty'],
  [
    (text) => text.includes('@'),
    'the text after `@` is not a digest, such as `sha256:` and 64 hexadecimal digits',
  ],
  [hasLongTag, 'the tag has more than 128 characters'],
  [(text) => /\/\/|^\/|\/$/.test(text), 'there is an empty part before, between or after `/`'],
]

/** Searches from the end: a pattern would restart at each colon of an image that consists of colons. */
function hasLongTag(text: string): boolean {
  const colon = text.lastIndexOf(':')
  return colon > text.lastIndexOf('/') && text.length - colon - 1 > 128
}

function hintFor(text: string): string {
  const hint = formatHints.find(([applies]) => applies(text))
  return hint?.[1] ?? 'the image does not have the form `[host[:port]/]path[:tag][@digest]`'
}
