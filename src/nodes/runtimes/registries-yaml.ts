/** A model of what K3s and RKE2 make of registries.yaml (wharfie's pkg/registries; docs.k3s.io). */
import { parse } from 'yaml'
import { defaultDomain } from '../../decision/reference/reference.ts'

export interface RegistriesYaml {
  readonly mirrors: ReadonlyMap<string, readonly string[]>
  /** What is passed over, or cannot be followed here. */
  readonly ignored: readonly string[]
}

/** Never throws: a file that cannot be read is one that says nothing, with the reason. */
export function readRegistriesYaml(text: string): RegistriesYaml {
  const mirrors = new Map<string, readonly string[]>()
  const ignored: string[] = []
  const root = mapOf(read(text, ignored), 'the whole file', ignored)
  for (const key of Object.keys(root).filter(
    (each) => !['mirrors', 'configs', 'auths'].includes(each),
  ))
    ignored.push(`${key}, which is no key of registries.yaml`)
  for (const [host, value] of Object.entries(mapOf(root['mirrors'] ?? {}, 'mirrors', ignored))) {
    const { endpoint = [], rewrite, ...others } = mapOf(value ?? {}, host, ignored)
    const list = Array.isArray(endpoint) ? endpoint.filter((each) => typeof each === 'string') : []
    mirrors.set(host, list)
    for (const key of Object.keys(others))
      ignored.push(`${host}: ${key}, which is no key of a mirror`)
    if (!Array.isArray(endpoint)) ignored.push(`${host}: endpoint, which is not a list`)
    if (rewrite !== undefined)
      ignored.push(`nothing, but ${host} has a rewrite, which is not followed here`)
  }
  return { mirrors, ignored }
}

function read(text: string, ignored: string[]): unknown {
  try {
    return parse(text) ?? {}
  } catch (error) {
    const [why = ''] = String(error instanceof Error ? error.message : error).split('\n', 1)
    ignored.push(`the whole file: ${why}; K3s will not start`)
    return {}
  }
}

function mapOf(value: unknown, name: string, ignored: string[]): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>
  ignored.push(`${name}, which is not a map`)
  return {}
}

/**
 * The places that are asked for a registry, each with the path of its API, in order. `closed`: K3s runs with
 * disable-default-registry-endpoint, which counts for hosts that are listed.
 */
export function endpointsFor({ mirrors }: RegistriesYaml, host: string, closed: boolean): string[] {
  const withPorts = /:\d+$/.test(host) ? [] : [`${host}:443`, `${host}:80`]
  const key = [host, ...(host === defaultDomain ? [] : withPorts), '*'].find((each) =>
    mirrors.has(each),
  )
  const itself = normalise(host === defaultDomain ? 'registry-1.docker.io' : host)
  const listed = key === undefined ? [] : (mirrors.get(key) ?? [])
  const endpoints = listed.map(normalise).filter((each) => each !== null)
  const open = key === undefined || !closed
  const all = open && itself !== null ? [...endpoints, itself] : endpoints
  // containerd drops an endpoint that it would ask twice in a row.
  return all.filter((each, index) => each !== all[index - 1])
}

/** Null for what is no URL, which K3s logs and passes over. */
function normalise(endpoint: string): string | null {
  const [, scheme = '', authority = '', path = ''] =
    /^(?:(\w+):\/\/)?([^/]+)(\/.*)?$/.exec(endpoint) ?? []
  if (authority === '') return null
  const name = authority.replace(/:\d+$/, '')
  const isLoopback = name === 'localhost' || name.startsWith('127.') || name === '[::1]'
  const byName = isLoopback && authority !== name && !authority.endsWith(':443') ? 'http' : 'https'
  const clean = path.replaceAll(/\/+/g, '/').replace(/\/$/, '')
  return `${scheme || byName}://${authority}${clean === '' ? '/v2' : clean}`
}
