/**
 * Patterns over `host/path`. The only user of minimatch, with everything switched off that is not `*`, `**`, `?` and
 * `[…]`: braces and extended globs are where its exponential cases live (CVE-2026-26996, -27903, -27904).
 */
import { Minimatch } from 'minimatch'
import { parseReference } from '../reference/parse.ts'
import { defaultDomain, type Reference, repositoryName } from '../reference/reference.ts'
import { canonicalHost, canonicalReference } from './registry-aliases.ts'

export interface ImagePattern {
  /** As written. */
  readonly text: string
  /** The host, when it stands there literally. */
  readonly host: string | null
  /** The one repository that matches, when the pattern is no glob. */
  readonly literal: string | null
  /** The part after a literal host, or the whole pattern. */
  readonly path: string
  /** Takes a reference whose host has gone through `canonicalRepository`. */
  matches(reference: Reference): boolean
}

export type ImagePatternResult =
  | { readonly ok: true; readonly pattern: ImagePattern; readonly note: string | null }
  | { readonly ok: false; readonly message: string }

/** Host (253, RFC 1035) and path (255) can be longer, but nobody writes such a pattern by hand. */
const maxLength = 256

/** Each run of stars may multiply the work by the length of the name; `*.dkr.ecr.*.amazonaws.com/team/*` has three. */
const maxStars = 4

/** Two `**` search a name of at most 128 segments in 128² steps at the worst; a third would make it 128³. */
const maxGlobstars = 2

const options = {
  nobrace: true,
  noext: true,
  nocomment: true,
  nonegate: true,
  dot: true,
  platform: 'linux',
} as const

/** Compiles a pattern, or says why it can never match. A pattern without wildcards is read as an image name is. */
export function compilePattern(text: string): ImagePatternResult {
  const fault = faults.find(([, wrong]) => wrong(text))
  if (fault !== undefined) return { ok: false, message: fault[0] }
  return isGlob(text) ? compileGlob(text) : compileLiteral(text)
}

const faults: readonly (readonly [string, (text: string) => boolean])[] = [
  ['is empty: name a repository, or `**` for every image', (text) => text === ''],
  [`is longer than ${maxLength} characters`, (text) => text.length > maxLength],
  ['has a scheme; write only `host/path`', (text) => text.includes('://')],
  [
    'has a digest; patterns match repositories, and tags are mapped with `tags`',
    (text) => text.includes('@'),
  ],
  [
    'uses `{…}`, `(…)`, `!`, `|` or another sign that patterns do not have; write one pattern for each choice, with `*`, `**`, `?` and `[…]` only',
    (text) => /[^A-Za-z0-9._:/*?[\]^-]/.test(text),
  ],
  [
    'joins `**` to other characters; it stands alone between two `/`',
    (text) => text.split('/').some((segment) => segment.includes('**') && segment !== '**'),
  ],
  [
    `has more than ${maxStars} wildcards, or more than ${maxGlobstars} times \`**\``,
    (text) =>
      (text.match(/\*+/g) ?? []).length > maxStars ||
      (text.match(/\*\*/g) ?? []).length > maxGlobstars,
  ],
  ['has two `/` with nothing between them', (text) => /^\/|\/\/|\/$/.test(text)],
]

/** An IPv6 host stands in brackets, which elsewhere are a wildcard. */
const ipv6Host = /^\[[0-9a-fA-F:]*:[0-9a-fA-F:]*\](?::[0-9]+)?(?=\/|$)/

function isGlob(text: string): boolean {
  return /[*?[\]]/.test(text.replace(ipv6Host, ''))
}

function compileLiteral(text: string): ImagePatternResult {
  const parsed = parseReference(text)
  if (!parsed.ok) return { ok: false, message: `can never match: ${parsed.message}` }
  const { reference } = parsed
  if (reference.tag !== null) {
    return {
      ok: false,
      message: 'has a tag; patterns match repositories, and tags are mapped with `tags`',
    }
  }
  if (reference.domain === '') return { ok: false, message: 'has a host that is no host name' }
  const canonical = canonicalReference(reference)
  const literal = repositoryName(canonical)
  return {
    ok: true,
    note: literal === text ? null : `means ${literal}`,
    pattern: {
      text,
      host: canonical.domain,
      literal,
      path: canonical.path,
      matches: (candidate) => repositoryName(candidate) === literal,
    },
  }
}

function compileGlob(text: string): ImagePatternResult {
  const slash = text.indexOf('/')
  const first = slash < 0 ? text : text.slice(0, slash)
  const path = text.slice(slash + 1)
  if (slash < 0 && first !== '**') {
    return {
      ok: false,
      message: 'can never match: every name has a host and a path; write `**` for every image',
    }
  }
  if (!isGlob(first)) return compileHostAndPath(text, first, path)
  const matcher = new Minimatch(text, options)
  return {
    ok: true,
    note: null,
    pattern: {
      text,
      host: null,
      literal: null,
      path: text,
      matches: (r) => matcher.match(repositoryName(r)),
    },
  }
}

function compileHostAndPath(text: string, host: string, path: string): ImagePatternResult {
  const fault = hostFault(text, host, path) ?? pathFaults.find(([wrong]) => wrong(path))?.[1]
  if (fault !== undefined) return { ok: false, message: fault }
  const { domain } = canonicalReference({ domain: host, path: 'a/b', tag: null, digest: null })
  if (domain === defaultDomain && !path.includes('/') && path !== '**') {
    return {
      ok: false,
      message: `can never match: every image of Docker Hub has two segments; write ${domain}/library/${path}, or ${domain}/**`,
    }
  }
  const matcher = path === '**' ? null : new Minimatch(path, options)
  return {
    ok: true,
    note: domain === host ? null : `means ${domain}/${path}`,
    pattern: {
      text,
      host: domain,
      literal: null,
      path,
      matches: (r) => r.domain === domain && (matcher === null || matcher.match(r.path)),
    },
  }
}

/** A host is one if the grammar reads it as one. */
function hostFault(text: string, host: string, path: string): string | undefined {
  const parsed = parseReference(`${host}/a/b`)
  if (!parsed.ok || parsed.reference.domain === '') {
    return `can never match: \`${host}\` is no host name`
  }
  const isUser = parsed.reference.domain === defaultDomain && canonicalHost(host) !== defaultDomain
  if (!isUser) return undefined
  return `can never match: \`${host}\` has no dot and no port, so it is a Docker Hub user and not a host; write docker.io/${text}, or ${host}:PORT/${path}`
}

const pathFaults: readonly (readonly [(path: string) => boolean, string])[] = [
  [(path) => path.toLowerCase() !== path, 'can never match: repository names are lower case'],
  [
    (path) => path.includes(':'),
    'has a tag; patterns match repositories, and tags are mapped with `tags`',
  ],
  [
    (path) => /(^|\/)[.]|\.\.|[.](\/|$)|\^(?!.*\])/.test(path),
    'can never match: a segment begins and ends with a letter, a digit or a wildcard',
  ],
  [
    (path) => path.replaceAll(/\[\^?[^\][/]+\]/g, '').match(/[[\]]/) !== null,
    'can never match: a `[` without its `]`, or with nothing in it',
  ],
]

/** Compiles a glob over tags, such as `latest` or `*-snapshot`. Null when it is too long or has too many wildcards. */
export function compileTagGlob(text: string): ((tag: string) => boolean) | null {
  // A tag has at most 128 characters (distribution/reference).
  if (text === '' || text.length > 128 || /[^A-Za-z0-9._*?[\]^-]/.test(text)) return null
  if ((text.match(/\*+/g) ?? []).length > maxStars || text.includes('**')) return null
  const matcher = new Minimatch(text, options)
  return (tag) => matcher.match(tag)
}
