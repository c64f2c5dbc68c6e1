/**
 * Models how K3s and RKE2 read registries.yaml: which hosts.toml they write for containerd (k3s-io/k3s,
 * pkg/agent/containerd/config.go), and the `rewrite` of their own containerd (docs.k3s.io, "Private Registry Configuration").
 */
import { parse } from 'yaml'
import { apiHost, hubHost } from '../../decision/fallback/registry-aliases.ts'
import { isObject, type JsonObject } from '../../json/json.ts'
import { compileGoRegexp, type GoRegexp } from './go-regexp.ts'
import { firstLine, InvalidFileError } from './runtime-file.ts'

interface Mirror {
  readonly endpoints: readonly string[]
  readonly rewrites: readonly Rewrite[]
}

interface Rewrite {
  readonly pattern: GoRegexp
  readonly replacement: string
}

export interface RegistriesYaml {
  readonly mirrors: ReadonlyMap<string, Mirror>
  /** The hosts under `configs`. */
  readonly configured: ReadonlySet<string>
  /** Why K3s does not start with the file; null if it does. */
  readonly fault: string | null
  /** What K3s ignores. */
  readonly findings: readonly string[]
}

/** Where K3s asks for an image. */
export interface YamlPlace {
  /** An endpoint with the path of its API. */
  readonly endpoint: string
  /** The repository there. Several if more than one rewrite applies, because K3s takes any of them. */
  readonly paths: readonly string[]
}

/** Never throws: an invalid file has no mirrors. */
export function readRegistriesYaml(text: string): RegistriesYaml {
  const mirrors = new Map<string, Mirror>()
  const findings: string[] = []
  const { root, fault } = parseYaml(text)
  for (const key of Object.keys(root).filter(
    (each) => !['mirrors', 'configs', 'auths'].includes(each),
  ))
    findings.push(`${key} is an unknown key, which is ignored`)
  const entries = mapOf(root['mirrors'] ?? {}, 'mirrors', findings)
  for (const [host, value] of Object.entries(entries)) {
    const report = (finding: string) => findings.push(`${host || '""'}: ${finding}`)
    const unused = whyUnused(host)
    if (unused !== null) report(unused)
    mirrors.set(host, readMirror(mapOf(value ?? {}, host, findings), report))
  }
  const configs = root['configs']
  const configured = new Set(isObject(configs) ? Object.keys(configs) : [])
  return { mirrors, configured, fault, findings }
}

/** Returns why no image is pulled through a key of `mirrors`; null if images can be. */
function whyUnused(key: string): string | null {
  if (key === '') return 'the key is empty, so no image uses it; use "*" for every registry'
  if (hubHost(key) !== key) return 'no image uses this key; images of Docker Hub use docker.io'
  if (key.includes('/')) return 'the key is not a host, so no image uses it; write only the host'
  return key !== '*' && key.includes('*') ? 'K3s has no wildcards except "*"' : null
}

function readMirror(table: JsonObject, report: (finding: string) => void): Mirror {
  const { endpoint, rewrite, ...others } = table
  for (const key of Object.keys(others)) report(`${key} is an unknown key, which is ignored`)
  const list = endpoint ?? []
  if (!Array.isArray(list)) report('endpoint is not a list, and is ignored')
  const endpoints = Array.isArray(list) ? list.filter((each) => typeof each === 'string') : []
  for (const each of endpoints.filter((one) => normalizeEndpoint(one) === null))
    report(`${each} is not a URL, and is ignored`)
  return { endpoints, rewrites: readRewrites(rewrite ?? {}, endpoints, report) }
}

function readRewrites(
  value: unknown,
  endpoints: readonly string[],
  report: (finding: string) => void,
): Rewrite[] {
  if (!isObject(value)) {
    report('rewrite is not a map, and is ignored')
    return []
  }
  const entries = Object.entries(value)
  if (entries.length > 0 && endpoints.length === 0)
    report('rewrite is ignored, because it applies only to endpoints and there is none')
  return entries.flatMap(([text, replacement]) => {
    const pattern = compileGoRegexp(text)
    if (pattern === null) report(`rewrite ${text} is not a regular expression, and is ignored`)
    return pattern === null ? [] : [{ pattern, replacement: scalarText(replacement) }]
  })
}

/** An empty replacement may be left out. */
function scalarText(value: unknown): string {
  return typeof value === 'object' || value === undefined ? '' : `${value as string | number}`
}

interface ParsedYaml extends Pick<RegistriesYaml, 'fault'> {
  readonly root: JsonObject
}

function parseYaml(text: string): ParsedYaml {
  try {
    const root: unknown = parse(text) ?? {}
    if (isObject(root)) return { root, fault: null }
    throw new InvalidFileError('the file is not a map')
  } catch (error) {
    return { root: {}, fault: `${firstLine(error)}; K3s does not start with this file` }
  }
}

function mapOf(value: unknown, name: string, findings: string[]): JsonObject {
  if (isObject(value)) return value
  findings.push(`${name} is not a map, and is ignored`)
  return {}
}

/**
 * Returns where K3s asks for a repository of a host, in order. `closed`: K3s runs with disable-default-registry-endpoint,
 * which applies to hosts under `mirrors` that are not also under `configs`.
 */
export function placesFor(
  { mirrors, configured }: Pick<RegistriesYaml, 'mirrors' | 'configured'>,
  host: string,
  path: string,
  closed: boolean,
): YamlPlace[] {
  const key = [host, '*'].find((each) => mirrors.has(each))
  const mirror = key === undefined ? undefined : mirrors.get(key)
  const { endpoints, rewrites } = mirror ?? { endpoints: [], rewrites: [] }
  const upstream = normalizeEndpoint(host)
  const isOpen = key === undefined || !closed || (key !== '*' && configured.has(key))
  const listed = endpoints.map(normalizeEndpoint).filter((each) => each !== null)
  const distinct = listed.filter((each, index) => listed.indexOf(each) === index)
  // Rewrites do not apply to the registry itself. It is asked last, also if it is the last endpoint.
  const isDefaultLast = key !== '*' && isOpen && distinct.at(-1) === upstream
  const mirrored = isDefaultLast ? distinct.slice(0, -1) : distinct
  const rewritten = rewrite(path, rewrites)
  const places: YamlPlace[] = mirrored.map((endpoint) => ({ endpoint, paths: rewritten }))
  if (isOpen && upstream !== null) places.push({ endpoint: upstream, paths: [path] })
  return places.filter((each, index) => !isSamePlace(each, places[index - 1]))
}

/** containerd drops a host that repeats the one before it. */
function isSamePlace(one: YamlPlace, other: YamlPlace | undefined): boolean {
  return one.endpoint === other?.endpoint && one.paths.join(' ') === other.paths.join(' ')
}

/** Returns what K3s can rewrite the path to. It takes the first rewrite that changes the path, in the random order of a Go map. */
function rewrite(path: string, rewrites: readonly Rewrite[]): string[] {
  const changed = rewrites
    .map(({ pattern, replacement }) => pattern.replaceAll(path, replacement))
    .filter((each) => each !== path)
  return changed.length === 0 ? [path] : [...new Set(changed)]
}

/** Returns null for text that is not a URL, which K3s logs and skips. */
function normalizeEndpoint(endpoint: string): string | null {
  const [, scheme = '', authority = '', path = ''] =
    /^(?:(\w+):\/\/)?([^/]+)(\/.*)?$/.exec(endpoint) ?? []
  if (authority === '') return null
  const name = authority.replace(/:\d+$/, '')
  const isLoopback = name === 'localhost' || name.startsWith('127.') || name === '[::1]'
  const defaultScheme =
    isLoopback && authority !== name && !authority.endsWith(':443') ? 'http' : 'https'
  const cleanPath = path.replaceAll(/\/+/g, '/').replace(/\/$/, '')
  return `${scheme || defaultScheme}://${apiHost(authority)}${cleanPath === '' ? '/v2' : cleanPath}`
}
