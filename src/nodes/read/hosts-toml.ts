/**
 * Models how containerd reads a hosts.toml (remotes/docker/config/hosts.go of version 2.4), including the cases in which
 * it silently asks the registry itself instead.
 */
import { parse, TomlDate, type TomlTable } from 'smol-toml'
import { firstLine, InvalidFileError } from './runtime-file.ts'

export interface LoadedHost {
  /** Empty, with an empty host, for the registry itself. */
  readonly scheme: string
  readonly host: string
  readonly path: string
  readonly pull: boolean
  readonly resolve: boolean
}

export interface HostsFile {
  /** In the order in which they are asked; the server at the root is last. Null if the file has no effect and the registry itself is asked. */
  readonly hosts: readonly LoadedHost[] | null
  /** What containerd does with the file and at most logs, as predicates: `ignores …`. */
  readonly findings: readonly string[]
}

/** The keys that containerd reads at the root and in a host table (hostFileConfig). */
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

/** The header of a host table or of a table in it. containerd 2 sees hosts only in this form. */
const header =
  /^[ \t]*\[[ \t]*(?:host|"host"|'host')[ \t]*\.[ \t]*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))[ \t]*(?:\.[^\]]*)?\][ \t]*(?:#.*)?\r?$/

/** Never throws: a file that containerd rejects has no effect. */
export function readHostsToml(text: string): HostsFile {
  if (text === '') return { hosts: null, findings: ['ignores the file, because it is empty'] }
  try {
    return readHosts(text)
  } catch (error) {
    return { hosts: null, findings: [`ignores the whole file: ${firstLine(error)}`] }
  }
}

function readHosts(text: string): HostsFile {
  const root = parse(text)
  const findings: string[] = []
  const tables = tableOf(root['host'] ?? {}, 'host')
  const headers = headersOf(text)
  for (const name of Object.keys(tables)) {
    tableOf(tables[name], `host.${name}`)
    if (!headers.includes(name))
      findings.push(
        `ignores ${name}: it is not written as a [host."URL"] header, which is the only form that containerd 2 reads`,
      )
  }
  const repeated = headers.find((name, index) => headers.indexOf(name) !== index)
  if (repeated !== undefined) findings.push(`asks ${repeated} twice, because it has two headers`)
  const hosts = headers.map((name) => {
    const table = tableOf(tables[name] ?? {}, name)
    for (const finding of unknownKeys(table, `${name}: `)) findings.push(finding)
    return readHost(name, table)
  })
  const { host: _, server = '', ...rest } = root
  for (const finding of unknownKeys(rest, '')) findings.push(finding)
  if (typeof server !== 'string') throw new InvalidFileError('server is not a string')
  return { hosts: [...hosts, readHost(server, rest)], findings }
}

function unknownKeys(table: TomlTable, prefix: string): string[] {
  return Object.keys(table)
    .filter((key) => !hostKeys.has(key))
    .map((key) => `ignores ${prefix}${key}, an unknown key`)
}

/** The host names in the order of the file. A header that repeats the one before it is the same host. */
function headersOf(text: string): string[] {
  const names: string[] = []
  for (const line of withoutMultilineStrings(text).split('\n')) {
    const [, quoted, literal, bare] = header.exec(line) ?? []
    const name = quoted === undefined ? (literal ?? bare) : unquote(quoted)
    if (name !== undefined && names.at(-1) !== name) names.push(name)
  }
  return names
}

function unquote(text: string): string {
  const { value } = parse(`value = "${text}"`)
  return typeof value === 'string' ? value : ''
}

function withoutMultilineStrings(text: string): string {
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
  throw new InvalidFileError(`${name} is not a table`)
}

function readHost(server: string, table: TomlTable): LoadedHost {
  const capabilities = capabilitiesOf(table['capabilities'])
  checkTypes(table)
  const url = parseServer(server, table['override_path'] === true)
  const hasTls = ['ca', 'client', 'skip_verify'].some((key) => key in table)
  // With TLS settings, containerd asks by https first, and by http only if the other side does not speak TLS.
  const scheme = url.scheme === 'http' && hasTls && !url.host.endsWith(':80') ? 'https' : url.scheme
  const can = (name: string) => capabilities.size === 0 || capabilities.has(name)
  return { ...url, scheme, pull: can('pull'), resolve: can('resolve') }
}

function capabilitiesOf(value: unknown): ReadonlySet<string> {
  if (value === undefined) return new Set()
  if (!Array.isArray(value) || value.some((each) => typeof each !== 'string'))
    throw new InvalidFileError('capabilities is not a list of strings')
  const names = value.map((each) => String(each).toLowerCase())
  const unknown = names.find((each) => !capabilityNames.has(each))
  if (unknown !== undefined) throw new InvalidFileError(`unknown capability ${unknown}`)
  return new Set(names)
}

function checkTypes(table: TomlTable): void {
  const flag = ['override_path', 'skip_verify'].find(
    (key) => key in table && typeof table[key] !== 'boolean',
  )
  if (flag !== undefined) throw new InvalidFileError(`${flag} is not a boolean`)
  const timeout = table['dial_timeout'] ?? ''
  if (typeof timeout !== 'string' || (timeout !== '' && !duration.test(timeout)))
    throw new InvalidFileError('dial_timeout is not a duration such as "2s"')
  const headers = Object.values(tableOf(table['header'] ?? {}, 'header'))
  if (!headers.every((value) => isString(value) || isStringList(value)))
    throw new InvalidFileError('a header is not a string or a list of strings')
  const { ca = '', client = '' } = table
  if (!isString(ca) && !isStringList(ca))
    throw new InvalidFileError('ca is not a string or a list of strings')
  if (!isString(client) && !(Array.isArray(client) && client.every(isStringOrPair)))
    throw new InvalidFileError('client is not a string or a list of strings or pairs')
}

const isString = (value: unknown): boolean => typeof value === 'string'
const isStringList = (value: unknown): boolean => Array.isArray(value) && value.every(isString)
const isStringOrPair = (value: unknown): boolean =>
  isString(value) || (isStringList(value) && (value as unknown[]).length === 2)

function parseServer(
  server: string,
  overridePath: boolean,
): { scheme: string; host: string; path: string } {
  if (server === '') return { scheme: '', host: '', path: '' }
  const text = server.startsWith('http') ? server : `https://${server}`
  const [, scheme = '', host = '', rest = ''] = /^([a-z]+):\/\/([^/?#]*)([^?#]*)/i.exec(text) ?? []
  if (scheme === '') throw new InvalidFileError(`${server} is not a URL`)
  if (rest === '') return { scheme: scheme.toLowerCase(), host, path: overridePath ? '' : '/v2' }
  const path = cleanPath(rest)
  const isComplete = overridePath || path.endsWith('/v2')
  return { scheme: scheme.toLowerCase(), host, path: isComplete ? path : `${path}/v2` }
}

/** Go's path.Clean for an absolute path. */
function cleanPath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}
