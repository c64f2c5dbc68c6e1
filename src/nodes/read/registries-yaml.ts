/** Models how K3s and RKE2 read registries.yaml (wharfie's pkg/registries; docs.k3s.io). */
import { parse } from 'yaml'
import { apiHost } from '../../decision/fallback/registry-aliases.ts'
import { defaultDomain } from '../../decision/reference/reference.ts'
import { isObject, type JsonObject } from '../../json/json.ts'
import { firstLine, InvalidFileError } from './runtime-file.ts'

export interface RegistriesYaml {
  readonly mirrors: ReadonlyMap<string, readonly string[]>
  /** Why K3s does not start with the file; null if it does. */
  readonly fault: string | null
  /** What K3s ignores, and what Berth does not evaluate. */
  readonly findings: readonly string[]
}

/** Never throws: an invalid file has no mirrors. */
export function readRegistriesYaml(text: string): RegistriesYaml {
  const mirrors = new Map<string, readonly string[]>()
  const findings: string[] = []
  const { root, fault } = parseYaml(text)
  for (const key of Object.keys(root).filter(
    (each) => !['mirrors', 'configs', 'auths'].includes(each),
  ))
    findings.push(`${key} is an unknown key, which is ignored`)
  for (const [host, mirror] of Object.entries(mapOf(root['mirrors'] ?? {}, 'mirrors', findings))) {
    const { endpoint = [], rewrite, ...others } = mapOf(mirror ?? {}, host, findings)
    const list = Array.isArray(endpoint) ? endpoint.filter((each) => typeof each === 'string') : []
    mirrors.set(host, list)
    for (const key of Object.keys(others))
      findings.push(`${host}: ${key} is an unknown key, which is ignored`)
    if (!Array.isArray(endpoint)) findings.push(`${host}: endpoint is not a list, and is ignored`)
    if (rewrite !== undefined)
      findings.push(`${host}: it has a rewrite, which berth nodes does not evaluate`)
  }
  return { mirrors, fault, findings }
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
 * Returns the endpoints for a registry in the order in which they are asked, each with the path of its API. `closed`:
 * K3s runs with disable-default-registry-endpoint, which applies to listed hosts.
 */
export function endpointsFor(
  { mirrors }: Pick<RegistriesYaml, 'mirrors'>,
  host: string,
  closed: boolean,
): string[] {
  const withPort = /:\d+$/.test(host) ? [] : [`${host}:443`, `${host}:80`]
  const key = [host, ...(host === defaultDomain ? [] : withPort), '*'].find((each) =>
    mirrors.has(each),
  )
  const upstream = normalizeEndpoint(apiHost(host))
  const listed = key === undefined ? [] : (mirrors.get(key) ?? [])
  const endpoints = listed.map(normalizeEndpoint).filter((each) => each !== null)
  const isOpen = key === undefined || !closed
  const all = isOpen && upstream !== null ? [...endpoints, upstream] : endpoints
  // containerd drops an endpoint that repeats the one before it.
  return all.filter((each, index) => each !== all[index - 1])
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
  return `${scheme || defaultScheme}://${authority}${cleanPath === '' ? '/v2' : cleanPath}`
}
