/** A strict model of what CRI-O and Podman make of registries.conf and its drop-ins (go.podman.io/image/v5, pkg/sysregistriesv2). */
import { parse } from 'smol-toml'

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

/** The places in order, or the reason for which nothing at all can be pulled. */
export type ConfRoute = { readonly places: readonly PullLocation[] } | { readonly fault: string }

export interface PullLocation {
  /** The whole name of the image there. */
  readonly image: string
  readonly insecure: boolean
}

export interface ConfFile {
  readonly name: string
  readonly text: string
}

class Broken extends Error {}

/** What every file together says; a single broken one stops every pull of the node. Null in `fault` means that all is well. */
export interface RegistriesConf {
  readonly registries: readonly Registry[]
  readonly fault: string | null
  readonly ignored: readonly string[]
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

/** Reads the files in the order in which they are given: of one prefix the last file's entry counts, and in a file the first. */
export function readRegistriesConf(files: readonly ConfFile[]): RegistriesConf {
  const registries = new Map<string, Registry>()
  const ignored: string[] = []
  for (const { name, text } of files) {
    try {
      const read = readFile(text, (what) => ignored.push(`${name}: ${what}`))
      for (const [prefix, registry] of read) registries.set(prefix, registry)
    } catch (error) {
      const [why = ''] = String(error instanceof Error ? error.message : error).split('\n', 1)
      return { registries: [], fault: `${name}: ${why}`, ignored }
    }
  }
  return { registries: [...registries.values()], fault: null, ignored }
}

type Table = Readonly<Record<string, unknown>>

function readFile(text: string, ignore: (what: string) => void): Map<string, Registry> {
  const root = parse(text)
  if ('registries' in root) throw new Broken('it is in version 1 of the format')
  const list = tables(root['registry'] ?? [], 'registry').map((table) =>
    readRegistry(table, ignore),
  )
  for (const one of list) {
    const other = list.find((each) => each.location === one.location && differs(each, one))
    if (other !== undefined)
      throw new Broken(`${one.location} stands there twice, with different insecure or blocked`)
  }
  const byPrefix = new Map<string, Registry>()
  for (const each of list) if (!byPrefix.has(each.prefix)) byPrefix.set(each.prefix, each)
  return byPrefix
}

function differs(one: Registry, other: Registry): boolean {
  return one.insecure !== other.insecure || one.blocked !== other.blocked
}

function readRegistry(table: Table, ignore: (what: string) => void): Registry {
  report(table, registryKeys, ignore)
  const location = locationOf(table['location'])
  const prefix = locationOf(table['prefix']) || location
  const isWild = prefix.startsWith('*.')
  if (prefix === '') throw new Broken('a registry has neither prefix nor location')
  if (location === '' && !isWild) throw new Broken(`${prefix} has no location`)
  if (isWild && /[/@:]/.test(prefix))
    throw new Broken(`${prefix} is no wildcard such as *.example.com`)
  const byDigestOnly = flag(table, 'mirror-by-digest-only')
  const mirrors = tables(table['mirror'] ?? [], 'mirror').map((mirror): Endpoint => {
    report(mirror, mirrorKeys, ignore)
    return readMirror(mirror, byDigestOnly)
  })
  return {
    prefix,
    location,
    insecure: flag(table, 'insecure'),
    blocked: flag(table, 'blocked'),
    pullFromMirror: '',
    byDigestOnly,
    mirrors,
  }
}

function readMirror(table: Table, byDigestOnly: boolean): Endpoint {
  const location = locationOf(table['location'])
  if (location === '') throw new Broken('a mirror has no location')
  const pullFromMirror = textOf(table['pull-from-mirror'] ?? '')
  if (byDigestOnly && pullFromMirror !== '')
    throw new Broken(`${location} has pull-from-mirror under mirror-by-digest-only`)
  if (!['', 'all', 'digest-only', 'tag-only'].includes(pullFromMirror))
    throw new Broken(`${location} has pull-from-mirror ${pullFromMirror}`)
  return { location, insecure: flag(table, 'insecure'), pullFromMirror }
}

function report(table: Table, known: readonly string[], ignore: (what: string) => void): void {
  for (const key of Object.keys(table).filter((each) => !known.includes(each)))
    ignore(`${key} is no key of the format, and is ignored`)
}

function tables(value: unknown, name: string): Table[] {
  if (Array.isArray(value) && value.every((each) => typeof each === 'object'))
    return value as Table[]
  throw new Broken(`${name} is not written as [[${name}]]`)
}

function flag(table: Table, key: string): boolean {
  const value = table[key] ?? false
  if (typeof value !== 'boolean') throw new Broken(`${key} is neither true nor false`)
  return value
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new Broken(`${JSON.stringify(value)} is not text`)
  return value
}

function locationOf(value: unknown): string {
  const text = textOf(value ?? '').replace(/\/+$/, '')
  if (/^https?:\/\//.test(text)) throw new Broken(`${text} has a scheme, and a location has none`)
  return text
}

/** Where an image is pulled from. `image` is its whole name; with a digest it has no tag. */
export function routeByRegistriesConf(
  { registries, fault }: RegistriesConf,
  image: string,
): ConfRoute {
  if (fault !== null) return { fault }
  const found = longest(registries, nameOf(image))
  if (found === null) return { places: [{ image, insecure: false }] }
  const isDigest = image.includes('@')
  const usable = found.mirrors.filter(({ pullFromMirror }) => {
    if (found.byDigestOnly) return isDigest
    return pullFromMirror !== (isDigest ? 'tag-only' : 'digest-only')
  })
  const places: PullLocation[] = []
  for (const { location, insecure } of [...usable, found]) {
    const rest = image.slice(matchLength(image, found.prefix))
    const place = location === '' ? image : `${location}${rest}`
    const [host = ''] = place.split('/', 1)
    if (!/[.:]/.test(host) && host !== 'localhost')
      return { fault: `${place} has no dot and no port in its host, so it is no whole name` }
    // A place that is blocked under its own name is passed over.
    if (longest(registries, nameOf(place))?.blocked !== true)
      places.push({ image: place, insecure })
  }
  return { places }
}

function nameOf(image: string): string {
  const [name = ''] = image.split('@', 1)
  const colon = name.lastIndexOf(':')
  return colon > name.lastIndexOf('/') ? name.slice(0, colon) : name
}

/** The longest prefix; of two of one length the one that comes first by name, as the loader sorts them. */
function longest(registries: readonly Registry[], name: string): Registry | null {
  const matching = registries.filter(({ prefix }) => matchLength(name, prefix) >= 0)
  const length = Math.max(0, ...matching.map(({ prefix }) => prefix.length))
  const best = matching.filter(({ prefix }) => prefix.length === length)
  return best.sort((a, b) => (a.prefix < b.prefix ? -1 : 1))[0] ?? null
}

/** How much of the name the prefix takes; -1 if it does not match. A prefix ends before `/`, `:`, `@` or nothing. */
function matchLength(name: string, prefix: string): number {
  const isWild = prefix.startsWith('*.')
  const at = isWild ? name.indexOf(prefix.slice(1)) : name.startsWith(prefix) ? 0 : -1
  if (at < 0 || name.slice(0, at).includes('/')) return -1
  const end = at + prefix.length - (isWild ? 1 : 0)
  return end === name.length || '/:@'.includes(name.charAt(end)) ? end : -1
}
