/** Compiles the `images` patterns of the config: globs over `host/path`, or single repositories. */
import { parseReference } from '../reference/parse.ts'
import { defaultDomain, type Reference, repositoryName } from '../reference/reference.ts'
import { compileGlob, hasTooManyWildcards, hasWildcard, maxGlobstars, maxStars } from './glob.ts'
import {
  canonicalHost,
  canonicalReference,
  hubHost,
  hubReference,
  type IsPlainHttp,
} from './registry-aliases.ts'

export interface ImagePattern {
  /** As written in the config. */
  readonly text: string
  /** The host; null if it has wildcards. */
  readonly host: string | null
  /** The host in its canonical spelling; null if it has wildcards. */
  readonly canonicalHost: string | null
  /** The only repository that matches; null if the pattern has wildcards. */
  readonly literal: string | null
  /** The part after the host. The whole pattern if the host has wildcards. */
  readonly path: string
  /** True for a pattern such as `**`, which matches every image. */
  readonly matchesAll: boolean
  /** Expects a canonical reference (`canonicalReference`). */
  matches(reference: Reference): boolean
}

export type ImagePatternResult =
  | {
      readonly ok: true
      readonly pattern: ImagePattern
      /** The full form of an abbreviated pattern; null if the pattern is written in full. */
      readonly fullForm: string | null
    }
  | { readonly ok: false; readonly message: string }

/** A host (253, RFC 1035) with a path (255) can be longer, but no useful pattern is. */
const maxLength = 256

/**
 * Compiles a pattern, or returns why it can never match.
 * A pattern without wildcards is parsed like an image, so `nginx` means `docker.io/library/nginx`.
 */
export function compilePattern(text: string, isPlainHttp?: IsPlainHttp): ImagePatternResult {
  const rule = syntaxRules.find(({ isBroken }) => isBroken(text))
  if (rule !== undefined) return failure(rule.message)
  return hasWildcard(text.replace(ipv6Host, ''))
    ? compileWithWildcards(text, isPlainHttp)
    : compileLiteral(text, isPlainHttp)
}

interface PatternRule {
  readonly message: string
  readonly isBroken: (text: string) => boolean
}

const noTagRule = 'the pattern has a tag; patterns match repositories. To map tags, use `tags`'

const syntaxRules: readonly PatternRule[] = [
  {
    message: 'the pattern is empty; write a repository, or `**` for all images',
    isBroken: (text) => text === '',
  },
  {
    message: `the pattern has more than ${maxLength} characters`,
    isBroken: (text) => text.length > maxLength,
  },
  {
    message: 'the pattern has a scheme; write only `host/path`',
    isBroken: (text) => text.includes('://'),
  },
  {
    message: 'the pattern has a digest; patterns match repositories without tag and digest',
    isBroken: (text) => text.includes('@'),
  },
  {
    message:
      'the pattern has a character that patterns do not support, such as `{…}`, `(…)`, `!` or `|`; write one pattern for each alternative, with `*`, `**`, `?` and `[…]` only',
    isBroken: (text) => /[^A-Za-z0-9._:/*?[\]^-]/.test(text),
  },
  {
    message:
      'the pattern has `**` next to other characters; `**` must be a whole segment between two `/`',
    isBroken: (text) =>
      text.split('/').some((segment) => segment.includes('**') && segment !== '**'),
  },
  {
    message: `the pattern has too many wildcards; at most ${maxStars} are allowed, and at most ${maxGlobstars} of them \`**\``,
    isBroken: hasTooManyWildcards,
  },
  {
    message: 'the pattern has an empty segment before, between or after `/`',
    isBroken: (text) => /^\/|\/\/|\/$/.test(text),
  },
]

/** An IPv6 host has brackets, which are a wildcard elsewhere. */
const ipv6Host = /^\[[0-9a-fA-F:]*:[0-9a-fA-F:]*\](?::[0-9]+)?(?=\/|$)/

function compileLiteral(text: string, isPlainHttp?: IsPlainHttp): ImagePatternResult {
  const parsed = parseReference(text)
  if (!parsed.ok) return failure(`the pattern can never match: ${parsed.message}`)
  const { reference } = parsed
  if (reference.tag !== null) return failure(noTagRule)
  const { domain: host, path } = hubReference(reference)
  if (host === '')
    return failure('the pattern can never match: the part before the first `/` is not a host')
  const literal = `${host}/${path}`
  const canonical = canonicalReference(reference, isPlainHttp)
  const canonicalName = repositoryName(canonical)
  return {
    ok: true,
    fullForm: literal === text ? null : literal,
    pattern: {
      text,
      host,
      canonicalHost: canonical.domain,
      literal,
      path,
      matchesAll: false,
      matches: (other) => repositoryName(other) === canonicalName,
    },
  }
}

function compileWithWildcards(text: string, isPlainHttp?: IsPlainHttp): ImagePatternResult {
  const slash = text.indexOf('/')
  const host = slash < 0 ? text : text.slice(0, slash)
  if (slash < 0 && host !== '**')
    return failure(
      'the pattern can never match: a pattern needs a host and a path, such as docker.io/library/*; write `**` for all images',
    )
  if (!hasWildcard(host.replace(ipv6Host, ''))) return compileHostAndPath(text, slash, isPlainHttp)
  // The library for globs leaves these segments out, and the index of rows does not.
  if (text.split('/').some((segment) => segment === '.' || segment === '..'))
    return failure('the pattern can never match: no image has a path segment `.` or `..`')
  const matchesGlob = compileGlob(canonicalHost(host) + text.slice(host.length))
  return {
    ok: true,
    fullForm: null,
    pattern: {
      text,
      host: null,
      canonicalHost: null,
      literal: null,
      path: text,
      matchesAll: /^\*{1,2}(?:\/\*{1,2})*$/.test(text) && ['a/b', 'a/b/c/d'].every(matchesGlob),
      matches: (reference) => matchesGlob(repositoryName(reference)),
    },
  }
}

function compileHostAndPath(
  text: string,
  slash: number,
  isPlainHttp?: IsPlainHttp,
): ImagePatternResult {
  const [host, path] = [text.slice(0, slash), text.slice(slash + 1)]
  const problem = hostProblem(text, host, path) ?? pathRules.find(({ isBroken }) => isBroken(path))
  if (problem !== undefined) return failure(problem.message)
  const domain = hubHost(host)
  const canonicalDomain = canonicalHost(host, isPlainHttp)
  if (domain === defaultDomain && !path.includes('/') && path !== '**')
    return failure(
      `the pattern can never match: every image of Docker Hub has two path segments; write ${domain}/library/${path}, or ${domain}/**`,
    )
  const matchesPath = path === '**' ? () => true : compileGlob(path)
  return {
    ok: true,
    fullForm: domain === host ? null : `${domain}/${path}`,
    pattern: {
      text,
      host: domain,
      canonicalHost: canonicalDomain,
      literal: null,
      path,
      matchesAll: false,
      matches: (reference) => reference.domain === canonicalDomain && matchesPath(reference.path),
    },
  }
}

/** Checks that image parsers read the first part of the pattern as a host. */
function hostProblem(
  text: string,
  host: string,
  path: string,
): { readonly message: string } | undefined {
  const parsed = parseReference(`${host}/a/b`)
  if (!parsed.ok || parsed.reference.domain === '')
    return { message: `the pattern can never match: \`${host}\` is not a valid host` }
  const isUser = parsed.reference.domain === defaultDomain && hubHost(host) !== defaultDomain
  return isUser
    ? {
        message: `the pattern can never match: \`${host}\` has neither a dot nor a port, so it is a Docker Hub user and not a host; write docker.io/${text}, or ${host}:PORT/${path}`,
      }
    : undefined
}

const pathRules: readonly PatternRule[] = [
  {
    message:
      'the pattern can never match: it has upper-case letters, and repository names are lower case',
    isBroken: (path) => path.toLowerCase() !== path,
  },
  { message: noTagRule, isBroken: (path) => path.includes(':') },
  {
    message:
      'the pattern can never match: a path segment must begin and end with a letter, a digit or a wildcard',
    isBroken: (path) => /(^|\/)[.]|\.\.|[.](\/|$)|\^(?!.*\])/.test(path),
  },
  {
    message: 'the pattern can never match: a `[` has no `]`, or there is nothing between them',
    isBroken: (path) => /[[\]]/.test(path.replaceAll(/\[\^?[^\][/]+\]/g, '')),
  },
]

function failure(message: string): ImagePatternResult {
  return { ok: false, message }
}
