/** Writes the globs that match images under the names that Berth gives them. Pure. */
import type { ImagePattern } from '../decision/fallback/image-pattern.ts'
import {
  type ImageTemplate,
  renderTemplate,
  withHost,
} from '../decision/fallback/image-template.ts'
import type { FallbackRow } from '../decision/fallback/table.ts'
import { hasWildcard } from '../decision/fallback/glob.ts'
import { defaultDomain, officialNamespace } from '../decision/reference/reference.ts'
import type { PolicyEngine } from './engine-name.ts'
import type { PolicyGlob } from './policy-rule.ts'
import { literalPrefix, stripPrefix, type Wildcard, wildcardText } from './wildcard.ts'

/** Returns globs for the images of a row that the globs match. Empty for templates that have no such glob. */
export function mirroredGlobs(
  row: FallbackRow,
  globs: readonly PolicyGlob[],
  engine: PolicyEngine,
): readonly string[] {
  const alternatives = globs.flatMap((glob) => glob.alternatives)
  const found = row.images.flatMap((pattern) =>
    row.try.flatMap((template) =>
      alternatives.flatMap((glob) => globsOf({ pattern, template, glob, engine })),
    ),
  )
  return [...new Set(found)]
}

/** Returns the globs without their tags, for images whose tag or digest Berth changes. */
export function withoutTags(globs: readonly string[]): readonly string[] {
  const found = globs.flatMap((glob) => {
    const repository = glob.replace(/[:@][^/]*$/, '')
    return repository.endsWith('*') ? [repository] : [`${repository}:*`, `${repository}@*`]
  })
  return [...new Set(found)]
}

interface GlobRequest {
  readonly pattern: ImagePattern
  readonly template: ImageTemplate
  readonly glob: Wildcard
  readonly engine: PolicyEngine
}

function globsOf({ pattern, template, glob, engine }: GlobRequest): string[] {
  const host = pattern.host ?? literalHost(glob)
  if (host === null) return []
  const path = pattern.host === null ? '' : pattern.path
  // What comes before the first wildcard is the same for all images of the pattern.
  const fixed = hasWildcard(path) ? path.slice(0, path.search(/[*?[]/)) : path
  const isRepository = pattern.literal !== null
  const prefix = isRepository
    ? renderTemplate(template, {
        reference: { domain: host, path, tag: null, digest: null },
        namespace: '*',
      })
    : mirroredPrefix(template, host, fixed)
  if (prefix === null || prefix === `${host}/${fixed}`) return []
  return restsOf(glob, { host, path: fixed, engine }).map(
    (rest) => escapeLiteral(prefix, engine) + rest,
  )
}

/** Returns the text before the rest of the path, for templates that end with `{path}`. */
function mirroredPrefix(template: ImageTemplate, host: string, fixed: string): string | null {
  const filled = withHost(template, host).replaceAll('{namespace}', '*')
  const start = filled.indexOf('{')
  return start >= 0 && filled.slice(start) === '{path}' ? filled.slice(0, start) + fixed : null
}

/** Returns what the glob matches after the names that begin with the host and the path, in all spellings of the engine. */
function restsOf(
  glob: Wildcard,
  {
    host,
    path,
    engine,
  }: { readonly host: string; readonly path: string; readonly engine: PolicyEngine },
): string[] {
  if (host !== defaultDomain) return textsAfter(glob, `${host}/${path}`)
  return engine.hubPrefixes.flatMap((prefix) => {
    if (prefix === '' && !isHubName(glob)) return []
    const rests = textsAfter(glob, prefix + path)
    if (path.startsWith(officialNamespace))
      return [...rests, ...textsAfter(glob, prefix + path.slice(officialNamespace.length))]
    if (path !== '' || engine.syntax === 'sigstore') return rests
    // A name of one segment is an official image, which Berth writes with its namespace.
    return rests.flatMap((rest) =>
      /^[*]/.test(rest) || /^[^*?[{]*\//.test(rest) ? [rest] : [rest, officialNamespace + rest],
    )
  })
}

function textsAfter(glob: Wildcard, prefix: string): string[] {
  return stripPrefix(glob, prefix).map(wildcardText)
}

/** Returns true if the glob is for names of Docker Hub without a host. */
function isHubName(glob: Wildcard): boolean {
  const prefix = literalPrefix(glob)
  const [first = ''] = prefix.split('/', 1)
  return prefix !== '' && !/[.:]/.test(first) && first !== 'localhost'
}

/** Returns the host that the glob names; null if it has wildcards before the first `/`. */
function literalHost(glob: Wildcard): string | null {
  const prefix = literalPrefix(glob)
  const slash = prefix.indexOf('/')
  const host = prefix.slice(0, Math.max(slash, 0))
  if (!/[.:]/.test(host) && host !== 'localhost') return null
  return host === 'index.docker.io' ? defaultDomain : host
}

/** An IPv6 host has brackets. */
function escapeLiteral(text: string, { syntax }: PolicyEngine): string {
  return syntax === 'gobwas' ? text.replaceAll(/[[\]{}\\]/g, '\\$&') : text
}
