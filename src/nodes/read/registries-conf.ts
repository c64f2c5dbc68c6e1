/** Models how CRI-O and Podman read registries.conf and its drop-ins (go.podman.io/image/v5, pkg/sysregistriesv2). */
import { parse } from 'smol-toml'
import { firstLine, InvalidFileError, type RuntimeFile } from './runtime-file.ts'
import { readShortNames, type ShortNames } from './short-names.ts'

interface Endpoint {
  readonly location: string
  readonly insecure: boolean
  readonly pullFromMirror: string
}

interface Registry extends Endpoint {
  readonly prefix: string
  readonly blocked: boolean
  readonly byDigestOnly: boolean
  readonly mirrors: readonly Endpoint[]
}

/** The locations that are asked in order, or why nothing can be pulled. */
export type ConfRoute = { readonly locations: readonly PullLocation[] } | { readonly fault: string }

export interface PullLocation {
  /** The full name of the image there. */
  readonly image: string
  readonly insecure: boolean
}

/** The merged files. One invalid file fails every pull of the node: `fault` says why, and is null if all files are valid. */
export interface RegistriesConf {
  readonly registries: readonly Registry[]
  readonly shortNames: ShortNames
  readonly fault: string | null
  readonly findings: readonly string[]
}

const registryKeys = [
  'prefix',
  'location',
  'insecure',
  'blocked',
  'mirror',
  'mirror-by-digest-only',
]
const mirrorKeys = ['location', 'insecure', 'pull-from-mirror']

/** Reads the files in the given order. Of entries with the same prefix, the last file wins, and in one file the first entry. */
export function readRegistriesConf(files: readonly RuntimeFile[]): RegistriesConf {
  const registries = new Map<string, Registry>()
  const findings: string[] = []
  let shortNames: ShortNames = { searchRegistries: [], aliases: new Map() }
  for (const { name, text } of files) {
    try {
      const root = parse(text)
      const read = readFile(root, (finding) => findings.push(`${name}: ${finding}`))
      for (const [prefix, registry] of read) registries.set(prefix, registry)
      shortNames = readShortNames(root, shortNames)
    } catch (error) {
      return { registries: [], shortNames, fault: `${name}: ${firstLine(error)}`, findings }
    }
  }
  return { registries: [...registries.values()], shortNames, fault: null, findings }
}

type Table = Readonly<Record<string, unknown>>

function readFile(root: Table, report: (finding: string) => void): Map<string, Registry> {
  if ('registries' in root) throw new InvalidFileError('it has version 1 of the format')
  const list = tablesOf(root['registry'] ?? [], 'registry').map((table) =>
    readRegistry(table, report),
  )
  for (const one of list) {
    const other = list.find((each) => each.location === one.location && isContrary(each, one))
    if (other !== undefined)
      throw new InvalidFileError(
        `${one.location} appears twice with different values of insecure or blocked`,
      )
  }
  const byPrefix = new Map<string, Registry>()
  for (const each of list) if (!byPrefix.has(each.prefix)) byPrefix.set(each.prefix, each)
  return byPrefix
}

function isContrary(one: Registry, other: Registry): boolean {
  return one.insecure !== other.insecure || one.blocked !== other.blocked
}

function readRegistry(table: Table, report: (finding: string) => void): Registry {
  reportUnknownKeys(table, registryKeys, report)
  const location = readLocation(table['location'])
  const prefix = readLocation(table['prefix']) || location
  const isWildcard = prefix.startsWith('*.')
  if (prefix === '') throw new InvalidFileError('a registry has neither prefix nor location')
  if (location === '' && !isWildcard) throw new InvalidFileError(`${prefix} has no location`)
  if (isWildcard && /[/@:]/.test(prefix))
    throw new InvalidFileError(`${prefix} is not a wildcard such as *.example.com`)
  const byDigestOnly = readFlag(table, 'mirror-by-digest-only')
  const mirrors = tablesOf(table['mirror'] ?? [], 'mirror').map((mirror): Endpoint => {
    reportUnknownKeys(mirror, mirrorKeys, report)
    return readMirror(mirror, byDigestOnly)
  })
  return {
    prefix,
    location,
    insecure: readFlag(table, 'insecure'),
    blocked: readFlag(table, 'blocked'),
    pullFromMirror: '',
    byDigestOnly,
    mirrors,
  }
}

function readMirror(table: Table, byDigestOnly: boolean): Endpoint {
  const location = readLocation(table['location'])
  if (location === '') throw new InvalidFileError('a mirror has no location')
  const pullFromMirror = readString(table['pull-from-mirror'] ?? '')
  if (byDigestOnly && pullFromMirror !== '')
    throw new InvalidFileError(`${location} has pull-from-mirror under mirror-by-digest-only`)
  if (!['', 'all', 'digest-only', 'tag-only'].includes(pullFromMirror))
    throw new InvalidFileError(`${location} has pull-from-mirror ${pullFromMirror}`)
  return { location, insecure: readFlag(table, 'insecure'), pullFromMirror }
}

function reportUnknownKeys(
  table: Table,
  known: readonly string[],
  report: (finding: string) => void,
): void {
  for (const key of Object.keys(table).filter((each) => !known.includes(each)))
    report(`${key} is an unknown key, which is ignored`)
}

function tablesOf(value: unknown, name: string): Table[] {
  if (Array.isArray(value) && value.every((each) => typeof each === 'object'))
    return value as Table[]
  throw new InvalidFileError(`${name} is not written as [[${name}]]`)
}

function readFlag(table: Table, key: string): boolean {
  const value = table[key] ?? false
  if (typeof value !== 'boolean') throw new InvalidFileError(`${key} is not a boolean`)
  return value
}

function readString(value: unknown): string {
  if (typeof value !== 'string')
    throw new InvalidFileError(`${JSON.stringify(value)} is not a string`)
  return value
}

function readLocation(value: unknown): string {
  const text = readString(value ?? '').replace(/\/+$/, '')
  if (/^https?:\/\//.test(text))
    throw new InvalidFileError(`${text} has a scheme, which a location cannot have`)
  return text
}

/** Returns where an image is pulled from. `image` is its full name; with a digest it has no tag. */
export function routeByRegistriesConf(
  { registries, fault }: Pick<RegistriesConf, 'registries' | 'fault'>,
  image: string,
): ConfRoute {
  if (fault !== null) return { fault }
  const registry = longestMatch(registries, nameOf(image))
  if (registry === null) return { locations: [{ image, insecure: false }] }
  const isDigest = image.includes('@')
  const mirrors = registry.mirrors.filter(({ pullFromMirror }) => {
    if (registry.byDigestOnly) return isDigest
    return pullFromMirror !== (isDigest ? 'tag-only' : 'digest-only')
  })
  const locations: PullLocation[] = []
  for (const { location, insecure } of [...mirrors, registry]) {
    const rest = image.slice(matchLength(image, registry.prefix))
    const name = location === '' ? image : `${location}${rest}`
    const [host = ''] = name.split('/', 1)
    if (!/[.:]/.test(host) && host !== 'localhost')
      return { fault: `${name} has no dot and no port in its host, so it is not a full name` }
    // A location that is itself blocked is skipped.
    if (longestMatch(registries, nameOf(name))?.blocked !== true)
      locations.push({ image: name, insecure })
  }
  return { locations }
}

/** The image without tag and digest. */
function nameOf(image: string): string {
  const [name = ''] = image.split('@', 1)
  const colon = name.lastIndexOf(':')
  return colon > name.lastIndexOf('/') ? name.slice(0, colon) : name
}

/** Of two prefixes with the same length, the one that sorts first wins, as in the loader. */
function longestMatch(registries: readonly Registry[], name: string): Registry | null {
  const matching = registries.filter(({ prefix }) => matchLength(name, prefix) >= 0)
  const [longest] = matching.toSorted(
    (a, b) => b.prefix.length - a.prefix.length || (a.prefix < b.prefix ? -1 : 1),
  )
  return longest ?? null
}

/** Returns how many characters of the name the prefix matches, or -1. A prefix ends before `/`, `:`, `@` or the end. */
function matchLength(name: string, prefix: string): number {
  const isWildcard = prefix.startsWith('*.')
  const start = isWildcard ? name.indexOf(prefix.slice(1)) : name.startsWith(prefix) ? 0 : -1
  if (start < 0 || name.slice(0, start).includes('/')) return -1
  const end = start + prefix.length - (isWildcard ? 1 : 0)
  return end === name.length || '/:@'.includes(name.charAt(end)) ? end : -1
}
