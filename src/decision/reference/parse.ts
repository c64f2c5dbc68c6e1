/**
 * The grammar of image names, after github.com/distribution/reference v0.6.0 (reference.go, normalize.go, regexp.go):
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
 * The patterns are written so that no two ways lead through the same text: matching is linear in its length.
 * None has the flags `i` or `u`, under which `\w` would accept the Kelvin sign.
 */
import {
  defaultDomain,
  formatReference,
  officialNamespace,
  type Reference,
  withDefaultTag,
} from './reference.ts'

/** The seven ways in which a name can be wrong. */
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

/** Longest text that is looked at, in UTF-16 units: path, tag and longest digest need 600, and a pod may hold megabytes. */
const maxTextLength = 4096

/** distribution/reference, RepositoryNameTotalLengthMax; the domain is not counted since v0.6.0. */
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

/** Hexadecimal digits of each registered algorithm (opencontainers/go-digest, algorithm.go). */
const hexLengths: ReadonlyMap<string, number> = new Map([
  ['sha256', 64],
  ['sha384', 96],
  ['sha512', 128],
])

/**
 * Parses an image name as people write it: `nginx` is `docker.io/library/nginx`, `index.docker.io` is `docker.io`.
 * Never throws, whatever the text; takes time linear in its length (ParseNormalizedNamed).
 *
 * @example parseReference('nginx:1.27') // { ok: true, reference: { domain: 'docker.io', path: 'library/nginx', tag: '1.27', digest: null } }
 */
export function parseReference(
  text: string,
  algorithms: ReadonlySet<string> = new Set(hexLengths.keys()),
): ParseResult {
  if (text.length > maxTextLength) {
    return wrong('invalid-format', `longer than ${maxTextLength} characters`)
  }
  if (identifierPattern.test(text)) {
    return wrong(
      'hex-identifier',
      '64 hexadecimal digits are an image ID, not a name: give the repository',
    )
  }
  const { host, rest } = splitHost(text)
  const [beforeColon = ''] = rest.split(':', 1)
  if (beforeColon.toLowerCase() !== beforeColon) {
    return wrong('name-uppercase', 'repository names are lower case')
  }
  const parts = matchParts(host, rest)
  if (parts === null) {
    const lowered = text.toLowerCase()
    const { host: lowHost, rest: lowRest } = { host: host.toLowerCase(), rest: rest.toLowerCase() }
    return lowered !== text && matchParts(lowHost, lowRest) !== null
      ? wrong('name-uppercase', 'repository names are lower case')
      : wrong('invalid-format', hintFor(text))
  }
  if (parts.path.length > maxPathLength) {
    return wrong(
      'name-too-long',
      `the repository path has ${parts.path.length} characters, ${maxPathLength} are allowed`,
    )
  }
  const fault = parts.digest === null ? null : digestFault(parts.digest, algorithms)
  return fault === null ? { ok: true, reference: parts } : wrong(fault, digestMessages[fault])
}

/** Like parseReference, but an image ID, with `sha256:` before it or not, is a digest (ParseAnyReference). */
export function parseAnyReference(
  text: string,
): ParseResult | { readonly ok: true; readonly digest: string } {
  if (identifierPattern.test(text)) return { ok: true, digest: `sha256:${text}` }
  if (digestFault(text, new Set(['sha256'])) === null) return { ok: true, digest: text }
  return parseReference(text)
}

/** True when the text is a digest of a registered algorithm, of the exact length, in lower case. */
export function isDigest(text: string): boolean {
  return digestFault(text, new Set(hexLengths.keys())) === null
}

/** True when the name is already written in full (ParseNamed): nothing was added or replaced by parsing it. */
export function isCanonical(text: string, reference: Reference): boolean {
  return formatReference(reference) === text
}

/** Whether a text that came from elsewhere, such as a registry's list, is a tag. */
export function isTag(text: string): boolean {
  return tagPattern.test(text)
}

/** A copy with this tag; the digest stays. Null when the tag is not one. */
export function withTag(reference: Reference, newTag: string): Reference | null {
  return isTag(newTag) ? { ...reference, tag: newTag } : null
}

/** A copy with this digest; the tag stays, for people to read. Null when the digest is not one. */
export function withDigest(reference: Reference, newDigest: string): Reference | null {
  return isDigest(newDigest) ? { ...reference, digest: newDigest } : null
}

/** True when two references make a runtime ask the same question of the same host. */
export function isSameImage(one: Reference, other: Reference): boolean {
  return formatReference(withDefaultTag(one)) === formatReference(withDefaultTag(other))
}

/** The text before the first `/` is a host only if it could not be a Docker Hub user (splitDockerDomain). */
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
  // A host that is no host (`foo_bar.com`) can still be a path component; the domain is then empty.
  const isDomain = domainPattern.test(host)
  const match = restPattern.exec(isDomain ? rest : `${host}/${rest}`)
  if (match === null) return null
  const [, path = '', tagText, digestText] = match
  return { domain: isDomain ? host : '', path, tag: tagText ?? null, digest: digestText ?? null }
}

type DigestFault = Extract<ReferenceErrorCode, `digest-${string}`>

const digestMessages: Readonly<Record<DigestFault, string>> = {
  'digest-invalid-format': 'a digest is lower-case hexadecimal after `sha256:`',
  'digest-invalid-length': 'the digest has the wrong number of digits; sha256 has 64',
  'digest-unsupported': 'the digest algorithm is not one of sha256, sha384, sha512',
}

/** The check that follows the grammar (opencontainers/go-digest, Digest.Validate). */
function digestFault(text: string, algorithms: ReadonlySet<string>): DigestFault | null {
  const colon = text.indexOf(':')
  const name = text.slice(0, Math.max(colon, 0))
  const hex = text.slice(colon + 1)
  if (colon <= 0 || hex === '') return 'digest-invalid-format'
  const length = algorithms.has(name) ? hexLengths.get(name) : undefined
  if (length === undefined)
    return digestShape.test(text) ? 'digest-unsupported' : 'digest-invalid-format'
  if (hex.length !== length) return 'digest-invalid-length'
  return /^[a-f0-9]+$/.test(hex) ? null : 'digest-invalid-format'
}

function wrong(code: ReferenceErrorCode, message: string): ParseResult {
  return { ok: false, code, message }
}

const formatHints: readonly (readonly [(text: string) => boolean, string])[] = [
  [(text) => text === '', 'the name is empty'],
  [(text) => text.trim() !== text, 'there is white space around the name: remove it'],
  [(text) => /\s/.test(text), 'there is white space inside the name'],
  [(text) => /\$[({]|\{\{/.test(text), 'a variable in the name was not filled in'],
  [
    (text) => /^[a-z][a-z0-9+.-]*:\/\//.test(text),
    'a name has no scheme: leave out everything up to `//`',
  ],
  [(text) => /[^ -~]/.test(text), 'names are plain ASCII'],
  [(text) => text.endsWith(':'), 'the tag after the last `:` is empty'],
  [
    (text) => text.includes('@'),
    'after `@` stands a digest such as `sha256:` and 64 hexadecimal digits',
  ],
  [hasLongTag, 'a tag has at most 128 characters'],
  [(text) => /\/\/|^\/|\/$/.test(text), 'a part between two `/` is empty'],
]

/** By position and not by pattern: a pattern would begin anew at each colon of a name that is made of them. */
function hasLongTag(text: string): boolean {
  const colon = text.lastIndexOf(':')
  return colon > text.lastIndexOf('/') && text.length - colon - 1 > 128
}

function hintFor(text: string): string {
  const hint = formatHints.find(([applies]) => applies(text))
  return hint?.[1] ?? 'it is not `[host[:port]/]path[:tag][@digest]`'
}
