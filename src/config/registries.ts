/** From `registries` and the hosts in `try` to the closed list of hosts that Berth may contact. */
import { existsSync, readFileSync } from 'node:fs'
import { resolve as resolvePath } from 'node:path'
import { createSecureContext } from 'node:tls'
import type { CredentialSettings } from '../registry/http/registry-settings.ts'
import { canonicalHost } from '../decision/fallback/registry-aliases.ts'
import type { ImageTemplate } from '../decision/fallback/image-template.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import type { PathPart } from './yaml-document.ts'
import { readEcr } from './ecr.ts'
import type { ConfigInput } from './schema.ts'

type RegistryInput = ConfigInput['registries'][number]

/** Told of each thing that is wrong, with its place. */
export type ReportProblem = (
  severity: 'error' | 'warning',
  path: readonly PathPart[],
  message: string,
) => void

/** Docker Hub answers for docker.io under another name (distribution/reference, normalize.go; containerd's default host). */
const dockerHubEndpoint = 'https://registry-1.docker.io'

/** Every host that may be contacted, by the name that images have for it. */
export function readRegistries(
  inputs: readonly RegistryInput[],
  templates: readonly ImageTemplate[],
  { directory, report }: { readonly directory: string; readonly report: ReportProblem },
): Map<string, RegistrySettings> {
  const registries = new Map<string, RegistrySettings>()
  for (const [index, input] of inputs.entries()) {
    const host = canonicalHost(input.host)
    if (host !== input.host) {
      report('warning', ['registries', index, 'host'], `means ${host}; write that`)
    }
    const at = (message: string, key: keyof RegistryInput = 'host') =>
      report('error', ['registries', index, key], message)
    if (registries.has(host)) at(`${host} is listed twice; join the two entries`)
    const settings = readRegistry({ ...input, host }, directory, at)
    const { credentials = null } = settings ?? {}
    if (credentials?.kind === 'dockerConfig' && !existsSync(credentials.file)) {
      // A warning, because a Secret may be mounted after the config was checked.
      const message = `names ${credentials.file}, which is not there; its registry will count as denied`
      report('warning', ['registries', index, 'credentials'], message)
    }
    if (settings !== null) registries.set(host, settings)
    if (input.host.toLowerCase() !== input.host) {
      report(
        'warning',
        ['registries', index, 'host'],
        `${input.host} has upper-case letters; a runtime takes it for another registry than ${input.host.toLowerCase()}`,
      )
    }
  }
  for (const host of templates.map((template) => template.host)) {
    if (host === null || registries.has(host)) continue
    const endpoint = endpointOf(host, undefined, () => undefined)
    if (endpoint !== null) registries.set(host, registryDefaults(host, endpoint))
  }
  return registries
}

/** A host that is only named on a command line; null for text that is none. Plain HTTP on loopback, as containerd has it. */
export function unlistedRegistry(host: string): RegistrySettings | null {
  const isLoopback = /^(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?$/.test(host)
  const given = isLoopback ? `http://${host}` : undefined
  const endpoint = endpointOf(host, given, () => undefined)
  return endpoint === null
    ? null
    : { ...registryDefaults(host, endpoint), allowPlainHttpAuth: isLoopback }
}

/** The settings of a registry that the config does not list. */
export function registryDefaults(host: string, endpoint: URL): RegistrySettings {
  return {
    host,
    endpoint,
    mirror: false,
    probe: true,
    credentials: null,
    ca: null,
    authHosts: [],
    allowPlainHttpAuth: false,
  }
}

function readRegistry(
  input: RegistryInput,
  directory: string,
  wrong: (message: string, key?: keyof RegistryInput) => void,
): RegistrySettings | null {
  const endpoint = endpointOf(input.host, input.endpoint, wrong)
  const nodeEndpoint =
    input.nodeEndpoint === undefined
      ? undefined
      : endpointOf(input.host, input.nodeEndpoint, (message, key) =>
          wrong(message, key === 'endpoint' ? 'nodeEndpoint' : key),
        )
  if (endpoint === null || nodeEndpoint === null) return null
  const plain = endpoint.protocol === 'http:'
  if (plain && input.credentials !== undefined && !input.allowPlainHttpAuth) {
    wrong(
      'would be sent over plain HTTP; use https, or say allowPlainHttpAuth: true',
      'credentials',
    )
  }
  const notHost = input.authHosts.find((each) => !isHost(each))
  if (notHost !== undefined)
    wrong(`has ${notHost}, which is not a host; write HOST or HOST:PORT`, 'authHosts')
  const ca = input.ca === undefined ? null : readCa(resolvePath(directory, input.ca), wrong)
  const { host, mirror, probe, authHosts, allowPlainHttpAuth } = input
  return {
    host,
    endpoint,
    ...(nodeEndpoint !== undefined && { nodeEndpoint }),
    mirror,
    probe,
    credentials: credentialsOf(input, directory, wrong),
    ca,
    authHosts,
    allowPlainHttpAuth,
  }
}

function credentialsOf(
  { credentials, host }: RegistryInput,
  directory: string,
  wrong: (message: string, key?: keyof RegistryInput) => void,
): CredentialSettings | null {
  if (credentials === undefined) return null
  if ('secret' in credentials) return { kind: 'secret', name: credentials.secret }
  if ('ecr' in credentials) {
    return readEcr(credentials.ecr, { host, directory }, (message) => wrong(message, 'credentials'))
  }
  return { kind: 'dockerConfig', file: resolvePath(directory, credentials.dockerConfig) }
}

function endpointOf(
  host: string,
  given: string | undefined,
  wrong: (message: string, key?: keyof RegistryInput) => void,
): URL | null {
  if (!isHost(host)) {
    wrong(`${host} is not a host; write it as images do, for example anubis:32000`)
    return null
  }
  const text = given ?? (host === 'docker.io' ? dockerHubEndpoint : `https://${host}`)
  if (!URL.canParse(text) || !/^https?:\/\/[^/?#]/.test(text)) {
    wrong(`${text} is not a URL; write http://HOST:PORT or https://HOST`, 'endpoint')
    return null
  }
  const url = new URL(text)
  if (
    !['http:', 'https:'].includes(url.protocol) ||
    url.username !== '' ||
    url.password !== '' ||
    url.search !== '' ||
    url.hash !== ''
  ) {
    wrong(
      'is not an http or https URL without user, query and fragment; credentials have a key of their own',
      'endpoint',
    )
    return null
  }
  // `0x7f.1` and `①②⑦.0.0.1` are 127.0.0.1 to a URL parser: what is written must be what is contacted.
  const written = given ?? `https://${host}`
  const authority = written.slice(written.indexOf('//') + 2).split('/', 1)[0] ?? ''
  const contacted = new URL(`http://${authority}`).host
  if (contacted !== authority.toLowerCase().replace(/:80$/, '')) {
    wrong(
      `${authority} would be contacted as ${contacted}; write that`,
      given === undefined ? 'host' : 'endpoint',
    )
    return null
  }
  return url
}

function isHost(text: string): boolean {
  return !/[/@?#\s]/.test(text) && URL.canParse(`https://${text}`)
}

function readCa(
  file: string,
  wrong: (message: string, key?: keyof RegistryInput) => void,
): string | null {
  try {
    const pem = readFileSync(file, 'utf8')
    createSecureContext({ ca: pem })
    if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem
  } catch {
    // Said below: a file that is missing and one that is no certificate are mended in the same place.
  }
  wrong(`${file} cannot be read as a PEM certificate`, 'ca')
  return null
}
