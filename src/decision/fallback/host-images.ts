/** Splits patterns by registry, to compare the images of different registries. */
import { compileGlob } from './glob.ts'
import { hostComponent } from './host-component.ts'
import type { ImagePattern } from './image-pattern.ts'
import { canonicalHost } from './registry-aliases.ts'

/** The images of one registry that a pattern matches. */
export interface HostImages {
  /** In its canonical spelling. */
  readonly host: string
  /** A glob for the path. */
  readonly path: string
  /** True if the pattern is a single repository. */
  readonly isLiteral: boolean
  /** True if the pattern has a wildcard in its host. */
  readonly isWildcardHost: boolean
}

/** Returns the images of a pattern, by host. Of a wildcard for hosts, these are examples, and those of `hosts` that match. */
export function splitByHost(
  { host, canonicalHost: canonical, literal, path, text }: ImagePattern,
  hosts: Iterable<string> = [],
): HostImages[] {
  if (host !== null)
    return [{ host: canonical ?? host, path, isLiteral: literal !== null, isWildcardHost: false }]
  const [first = ''] = text.split('/', 1)
  return [...new Set([...exampleHosts(first), ...hosts])].flatMap((each) =>
    pathsOn(each, text.split('/')).map((glob) => ({
      host: each,
      path: glob,
      isLiteral: false,
      isWildcardHost: true,
    })),
  )
}

/** Returns the globs for the paths on a host that the segments match. `**` matches the host, or nothing and the next segment does. */
function pathsOn(host: string, [first = '', ...rest]: readonly string[]): string[] {
  if (first === '**') {
    const glob = ['**', ...rest].join('/')
    return rest.length === 0 ? [glob] : [glob, ...pathsOn(host, rest)]
  }
  return rest.length > 0 && compileGlob(first)(host) ? [rest.join('/')] : []
}

/** Returns two hosts that a glob matches, if there are. */
function exampleHosts(glob: string): string[] {
  if (/^\*+$/.test(glob)) return ['a.b', 'b.b']
  const fillWith = (letter: string) => glob.replaceAll(/\*+|\?|\[[^\]]*\]/g, letter)
  const isHost = compileGlob(glob)
  const hosts = [...'ab0cdefghijklmnopqrstuvwxyz123456789'].map(fillWith).filter(isHost)
  return hosts.slice(0, 2).map((host) => canonicalHost(host))
}

/** Returns the hosts, of those listed and those of patterns, that have the same `{host}` in a path as another one. */
export function findMeetingHosts(
  listed: readonly string[],
  patterns: readonly ImagePattern[],
): ReadonlySet<string> {
  const named = patterns.flatMap((pattern) => splitByHost(pattern).map(({ host }) => host))
  const known = new Set([...listed, ...named])
  // `*` and `**` are for any host, so only the listed ones matter there.
  const globs = patterns
    .map(({ host, text }) => (host === null ? (text.split('/', 1)[0] ?? '') : ''))
    .filter((glob) => /[^*]/.test(glob))
  for (const glob of new Set(globs)) {
    const twins = [...known].flatMap(twinOf).filter(compileGlob(glob))
    for (const twin of twins) known.add(twin)
  }
  const groups = Map.groupBy(known, hostComponent)
  return new Set([...groups.values()].filter(({ length }) => length > 1).flat())
}

/** Returns `r.example-5000` for `r.example:5000`, and the reverse. */
function twinOf(host: string): string[] {
  const [, name, separator, port] = /^([^[]+)([:-])([0-9]+)$/.exec(host) ?? []
  return port === undefined ? [] : [`${name}${separator === ':' ? '-' : ':'}${port}`]
}
