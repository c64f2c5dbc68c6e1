/**
 * A strict model of what containerd makes of one hosts.toml (remotes/docker/config/hosts.go of version 2.4). Where it
 * falls silently back to asking the registry itself, the model says so.
 */
import { parse, TomlDate, type TomlTable } from 'smol-toml'

export interface LoadedHost {
  /** Empty: the place that the runtime knows by itself. */
  readonly scheme: string
  readonly host: string
  readonly path: string
  readonly pull: boolean
  readonly resolve: boolean
}

export interface HostsFile {
  /** In the order of asking, the root's server last. Null: the file says nothing, and the registry itself is asked. */
  readonly hosts: readonly LoadedHost[] | null
  /** What containerd passes over without a word to anyone but its log. */
  readonly ignored: readonly string[]
}

/** Keys that mean something, at the root and under a host (hostFileConfig). */
const hostKeys: ReadonlySet<string> = new Set([
  'capabilities',
  'ca',
  'client',
  'skip_verify',
  'header',
  'override_path',
  'dial_timeout',
])

const capabilityNames: ReadonlySet<string> = new Set(['pull', 'resolve', 'push', 'referrers'])

/** Go's time.ParseDuration. */
const duration = /^[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/

/** The header of a host's table, or of a table under it: the only form in which containerd 2 sees a host. */
const header =
  /^[ \t]*\[[ \t]*(?:host|"host"|'host')[ \t]*\.[ \t]*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))[ \t]*(?:\.[^\]]*)?\][ \t]*(?:#.*)?\r?$/

class Broken extends Error {}

export function readHostsToml(text: string): HostsFile {
  if (text === '') return { hosts: null, ignored: ['the file is empty'] }
  try {
    return read(text)
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error)
    return { hosts: null, ignored: [`the whole file: ${why}`] }
  }
}

function read(text: string): HostsFile {
  const root = parse(text)
  const ignored: string[] = []
  const tables = tableOf(root['host'] ?? {}, 'host')
  const headers = headersOf(text)
  for (const name of Object.keys(tables)) {
    tableOf(tables[name], `host.${name}`)
    if (!headers.includes(name))
      ignored.push(
        `${name}: it is not written as a [host."URL"] header, which is the only form that containerd 2 sees`,
      )
  }
  const repeated = headers.find((name, index) => headers.indexOf(name) !== index)
  if (repeated !== undefined)
    ignored.push(`nothing, but ${repeated} stands in two places and is asked twice`)
  const hosts = headers.map((name) => {
    ignored.push(...unknownKeys(tableOf(tables[name] ?? {}, name), `${name}: `))
    return readHost(name, tableOf(tables[name] ?? {}, name))
  })
  const { host: _, server = '', ...rest } = root
  ignored.push(...unknownKeys(rest, ''))
  if (typeof server !== 'string') throw new Broken('server is not text')
  return { hosts: [...hosts, readHost(server, rest)], ignored }
}

function unknownKeys(table: TomlTable, where: string): string[] {
  return Object.keys(table)
    .filter((key) => !hostKeys.has(key))
    .map((key) => `${where}${key}, which is no key of containerd's`)
}

/** In the order of the file; one that is repeated at once is the same host. */
function headersOf(text: string): string[] {
  const names: string[] = []
  for (const line of withoutMultilineText(text).split('\n')) {
    const [, quoted, literal, bare] = header.exec(line) ?? []
    const name = quoted === undefined ? (literal ?? bare) : unescape(quoted)
    if (name !== undefined && names.at(-1) !== name) names.push(name)
  }
  return names
}

function unescape(text: string): string {
  const { a } = parse(`a = "${text}"`)
  return typeof a === 'string' ? a : ''
}

function withoutMultilineText(text: string): string {
  return text.replaceAll(/"""[^]*?"""|'''[^]*?'''/g, '""')
}

function tableOf(value: unknown, name: string): TomlTable {
  if (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof TomlDate)
  )
    return value as TomlTable
  throw new Broken(`${name} is not a table`)
}

function readHost(server: string, table: TomlTable): LoadedHost {
  const capabilities = capabilitiesOf(table['capabilities'])
  checkTypes(table)
  const place = placeOf(server, table['override_path'] === true)
  const hasTls = ['ca', 'client', 'skip_verify'].some((key) => key in table)
  // With TLS settings containerd asks by https first, and by http only if that is no TLS at all.
  const scheme =
    place.scheme === 'http' && hasTls && !place.host.endsWith(':80') ? 'https' : place.scheme
  const can = (name: string) => capabilities.size === 0 || capabilities.has(name)
  return { ...place, scheme, pull: can('pull'), resolve: can('resolve') }
}

function capabilitiesOf(value: unknown): ReadonlySet<string> {
  if (value === undefined) return new Set()
  if (!Array.isArray(value) || value.some((each) => typeof each !== 'string'))
    throw new Broken('capabilities is not a list of text')
  const names = value.map((each) => String(each).toLowerCase())
  const unknown = names.find((each) => !capabilityNames.has(each))
  if (unknown !== undefined) throw new Broken(`unknown capability ${unknown}`)
  return new Set(names)
}

function checkTypes(table: TomlTable): void {
  const flag = ['override_path', 'skip_verify'].find(
    (key) => key in table && typeof table[key] !== 'boolean',
  )
  if (flag !== undefined) throw new Broken(`${flag} is neither true nor false`)
  const timeout = table['dial_timeout'] ?? ''
  if (typeof timeout !== 'string' || (timeout !== '' && !duration.test(timeout)))
    throw new Broken(`dial_timeout is no duration, such as "2s"`)
  const headers = Object.values(tableOf(table['header'] ?? {}, 'header'))
  if (!headers.every((value) => isText(value) || isTextList(value)))
    throw new Broken('a header is neither text nor a list of text')
  checkKeys(table)
}

function checkKeys({ ca = '', client = '' }: TomlTable): void {
  if (!isText(ca) && !isTextList(ca)) throw new Broken('ca is neither text nor a list of text')
  const isPair = (value: unknown) =>
    isText(value) || (isTextList(value) && (value as unknown[]).length === 2)
  if (!isText(client) && !(Array.isArray(client) && client.every(isPair)))
    throw new Broken('client is neither text, nor a list of text or pairs')
}

const isText = (value: unknown): boolean => typeof value === 'string'
const isTextList = (value: unknown): boolean => Array.isArray(value) && value.every(isText)

function placeOf(
  server: string,
  overridePath: boolean,
): { scheme: string; host: string; path: string } {
  if (server === '') return { scheme: '', host: '', path: '' }
  const text = server.startsWith('http') ? server : `https://${server}`
  const [, scheme = '', host = '', rest = ''] = /^([a-z]+):\/\/([^/?#]*)([^?#]*)/i.exec(text) ?? []
  if (scheme === '') throw new Broken(`${server} is no URL`)
  if (rest === '') return { scheme: scheme.toLowerCase(), host, path: overridePath ? '' : '/v2' }
  const path = clean(rest)
  const isWhole = overridePath || path.endsWith('/v2')
  return { scheme: scheme.toLowerCase(), host, path: isWhole ? path : `${path}/v2` }
}

/** Go's path.Clean, for a path that begins with `/`. */
function clean(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}
