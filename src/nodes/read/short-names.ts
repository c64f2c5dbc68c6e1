/**
 * Models which images CRI-O pulls for a short name, which has no registry, such as `nginx` (go.podman.io/image/v5,
 * pkg/shortnames and pkg/sysregistriesv2; cri-o/cri-o#9401).
 */
import { parse, type TomlTable } from 'smol-toml'
import { parseReference } from '../../decision/reference/parse.ts'
import type { Reference } from '../../decision/reference/reference.ts'
import { isObject } from '../../json/json.ts'
import { InvalidFileError, type RuntimeFile } from './runtime-file.ts'

export interface ShortNames {
  /** `unqualified-search-registries`, in order. */
  readonly searchRegistries: readonly string[]
  /** The full name, without a tag, for each short name. */
  readonly aliases: ReadonlyMap<string, string>
}

/** The images that are asked in order, or why nothing is pulled. */
export type ShortNameAnswer = { readonly images: readonly Reference[] } | { readonly fault: string }

/** Returns what a file adds: its list replaces the one before, and its aliases are merged. Throws InvalidFileError. */
export function readShortNames(
  root: Readonly<Record<string, unknown>>,
  before: ShortNames,
): ShortNames {
  const { 'unqualified-search-registries': list = before.searchRegistries, aliases = {} } = root
  if (!Array.isArray(list) || !list.every((each) => typeof each === 'string'))
    throw new InvalidFileError('unqualified-search-registries is not a list of strings')
  const searchRegistries = list.map((each) => each.replace(/\/+$/, ''))
  const invalid = searchRegistries.find((each) => !isHost(each))
  if (invalid !== undefined)
    throw new InvalidFileError(`unqualified-search-registries has ${invalid}, which is not a host`)
  if (!isObject(aliases)) throw new InvalidFileError('aliases is not a table')
  const merged = new Map(before.aliases)
  for (const [name, value] of Object.entries(aliases)) {
    if (value === '') merged.delete(name)
    else merged.set(name, checkedAlias(name, value))
  }
  return { searchRegistries, aliases: merged }
}

/** A registry without a scheme and a path. */
function isHost(text: string): boolean {
  return !text.includes('/') && parseReference(`${text}/a/b`).ok
}

function checkedAlias(name: string, value: unknown): string {
  const parsed = typeof value === 'string' ? parseReference(value) : null
  if (!isShortName(name)) throw new InvalidFileError(`the alias ${name} is not a short name`)
  const isFullName = parsed?.ok === true && !isShortName(String(value))
  if (!isFullName || parsed.reference.tag !== null || parsed.reference.digest !== null)
    throw new InvalidFileError(`the alias ${name} is not a full name without a tag`)
  return String(value)
}

/** Returns whether an image has no registry. Its first part is then no host: it has no dot and no port. */
export function isShortName(image: string): boolean {
  const [first = '', ...rest] = image.split('/')
  return rest.length === 0 || (!/[.:]/.test(first) && first !== 'localhost')
}

/** `refusesAmbiguous`: more than one search registry is an error, as in CRI-O 1.34 with short_name_mode = "enforcing". */
export function resolveShortName(
  { searchRegistries, aliases }: ShortNames,
  image: string,
  refusesAmbiguous: boolean,
): ShortNameAnswer {
  const [, name = image, suffix = ''] = /^([^@:]*)([@:].*)?$/.exec(image) ?? []
  const alias = aliases.get(name)
  if (alias === undefined && searchRegistries.length === 0)
    return { fault: `${name} has no registry, and unqualified-search-registries is empty` }
  if (alias === undefined && searchRegistries.length > 1 && refusesAmbiguous)
    return {
      fault: `${name} has no registry, and unqualified-search-registries has ${searchRegistries.length}, which CRI-O 1.34 and later refuse`,
    }
  const texts =
    alias === undefined ? searchRegistries.map((each) => `${each}/${image}`) : [`${alias}${suffix}`]
  const images = texts.flatMap((text) => {
    const parsed = parseReference(text)
    return parsed.ok ? [parsed.reference] : []
  })
  return { images }
}

/** Returns a problem with short names; null if they mean Docker Hub, as in the table, or are always refused. */
export function shortNameProblem(
  { searchRegistries }: ShortNames,
  refusesAmbiguous: boolean,
): string | null {
  const [only] = searchRegistries
  if (only === undefined || (searchRegistries.length === 1 && only === 'docker.io')) return null
  const list = searchRegistries.join(', ')
  return searchRegistries.length > 1 && refusesAmbiguous
    ? `unqualified-search-registries has ${list}: CRI-O 1.34 and later refuse images without a registry, such as nginx; leave one of them`
    : `unqualified-search-registries has ${list}: images without a registry, such as nginx, are pulled from there, and the table means docker.io`
}

/** Returns `short_name_mode` of crio.conf and its drop-ins; the last file wins. Null if none sets it. */
export function shortNameMode(files: readonly RuntimeFile[]): string | null {
  const modes = files.flatMap(({ text }) => {
    const mode = imageTable(text)?.['short_name_mode']
    return typeof mode === 'string' ? [mode] : []
  })
  return modes.at(-1) ?? null
}

/** Null for a file that does not parse, which CRI-O reports itself. */
function imageTable(text: string): TomlTable | null {
  try {
    const crio = parse(text)['crio']
    const image = isObject(crio) ? crio['image'] : null
    return isObject(image) ? image : null
  } catch {
    return null
  }
}
