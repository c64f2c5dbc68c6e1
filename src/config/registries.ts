/** Reads the `registries` of the config. With the hosts in `try`, they are the only hosts that Berth contacts. */
import { existsSync } from 'node:fs'
import { resolve as resolvePath } from 'node:path'
import type { ImageTemplate } from '../decision/fallback/image-template.ts'
import { createHostMap, type HostMap } from '../decision/fallback/host-map.ts'
import { hubHost, type IsPlainHttp } from '../decision/fallback/registry-aliases.ts'
import {
  type ClientCertificateSettings,
  type CredentialSettings,
  defaultEndpoint,
  registryDefaults,
  type RegistrySettings,
} from '../registry/http/registry-settings.ts'
import { readRegularFile } from '../files/read-limited.ts'
import { parseProxy, type ProxySetting } from '../proxy/proxy-rules.ts'
import { readEcr } from './ecr.ts'
import { isHost } from './host.ts'
import type { ReportProblem } from './problem.ts'
import { shownPath } from './redact.ts'
import type { ConfigInput } from './schema.ts'

type RegistryInput = ConfigInput['registries'][number]

/** Reports a problem in one key of a registry. */
type ReportKeyError = (key: keyof RegistryInput, message: string) => void

/** Returns the settings of every host that Berth may contact, by the host as images write it. */
export function readRegistries(
  inputs: readonly RegistryInput[],
  templates: readonly ImageTemplate[],
  { directory, report }: { readonly directory: string; readonly report: ReportProblem },
): HostMap<RegistrySettings> {
  const registries = createHostMap<RegistrySettings>(plainHttpHosts(inputs))
  for (const [index, input] of inputs.entries()) {
    const reportError: ReportKeyError = (key, message) =>
      report('error', ['registries', index, key], message)
    const warn: ReportKeyError = (key, message) =>
      report('warning', ['registries', index, key], message)
    const host = hubHost(input.host)
    if (host !== input.host) warn('host', `${input.host} means ${host}; write ${host}`)
    if (registries.has(host))
      reportError('host', `${host} is in the list twice; merge the two entries`)
    const settings = readRegistry({ ...input, host }, directory, reportError)
    warnOfMissingFiles(input, settings, warn)
    if (settings === null) continue
    registries.set(host, settings)
    if (!input.copy && !input.mirror)
      warn('copy', '`copy` has no effect without `mirror: true`: Berth pushes only to mirrors')
    warnAboutCapitals(input.host, warn)
  }
  for (const { host } of templates) {
    if (host === null || registries.has(host)) continue
    const endpoint = endpointOf(host, undefined, () => undefined)
    if (endpoint !== null) registries.set(host, registryDefaults(host, endpoint))
  }
  return registries
}

/** Warns of files that do not exist. Not an error: the Secret with the file may be mounted later. */
function warnOfMissingFiles(
  input: RegistryInput,
  settings: RegistrySettings | null,
  warn: ReportKeyError,
): void {
  const { credentials = null, clientCertificate } = settings ?? {}
  const warnOf = (key: keyof RegistryInput, file: string, shown: string) => {
    if (!existsSync(file))
      warn(key, `the file ${shown} does not exist; until it does, the registry counts as denied`)
  }
  if (credentials?.kind === 'dockerConfig')
    warnOf('credentials', credentials.file, shownCredentialsFile(input, credentials.file))
  if (clientCertificate?.kind !== 'files') return
  for (const file of [clientCertificate.cert, clientCertificate.key])
    warnOf('clientCertificate', file, file)
}

function warnAboutCapitals(host: string, warn: ReportKeyError): void {
  const lower = host.toLowerCase()
  if (lower !== host)
    warn('host', `${host} has upper-case letters; container runtimes do not treat it as ${lower}`)
}

/** Returns a function for the hosts without a port that nodes reach over plain HTTP. */
export function plainHttpHosts(
  registries: Iterable<{
    readonly host: string
    readonly endpoint?: URL | string | undefined
    readonly nodeEndpoint?: URL | string | undefined
  }>,
): IsPlainHttp {
  const hosts = new Set(
    [...registries].flatMap(({ host, endpoint = '', nodeEndpoint = endpoint }) =>
      String(nodeEndpoint).startsWith('http://') ? [host.toLowerCase()] : [],
    ),
  )
  return (host) => hosts.has(host)
}

/** Returns the settings of a host on the command line; null if it is not a host. Loopback is plain HTTP, as in containerd. */
export function unlistedRegistry(host: string): RegistrySettings | null {
  const isLoopback = /^(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?$/.test(host)
  const endpoint = endpointOf(host, isLoopback ? `http://${host}` : undefined, () => undefined)
  return endpoint === null
    ? null
    : { ...registryDefaults(host, endpoint), allowPlainHttpAuth: isLoopback }
}

function readRegistry(
  input: RegistryInput,
  directory: string,
  reportError: ReportKeyError,
): RegistrySettings | null {
  const { host, mirror, copy, probe, platforms, authHosts, allowPlainHttpAuth } = input
  const endpoint = endpointOf(host, input.endpoint, reportError)
  const nodeEndpoint =
    input.nodeEndpoint === undefined
      ? undefined
      : endpointOf(host, input.nodeEndpoint, (key, message) =>
          reportError(key === 'endpoint' ? 'nodeEndpoint' : key, message),
        )
  if (endpoint === null || nodeEndpoint === null) return null
  const isPlainHttp = endpoint.protocol === 'http:'
  if (isPlainHttp && input.credentials !== undefined && !allowPlainHttpAuth)
    reportError(
      'credentials',
      'the credentials would be sent over plain HTTP; use https in `endpoint`, or set allowPlainHttpAuth: true',
    )
  // What is not a host may be a password, so no message repeats it.
  if (!authHosts.every(isHost)) reportError('authHosts', '… is not a host; write HOST or HOST:PORT')
  const proxy = readProxy(input.proxy, reportError)
  const clientCertificate = clientCertificateOf(input, directory, reportError)
  if (isPlainHttp && clientCertificate !== undefined)
    reportError('clientCertificate', 'plain HTTP has no TLS handshake; use https in `endpoint`')
  const ca = input.ca === undefined ? null : readCa(input.ca, directory, reportError)
  return {
    host,
    endpoint,
    ...(nodeEndpoint !== undefined && { nodeEndpoint }),
    mirror,
    ...(!copy && { copy }),
    probe,
    platforms,
    credentials: credentialsOf(input, { directory, proxy, reportError }),
    ca,
    authHosts,
    allowPlainHttpAuth,
    ...(proxy !== undefined && { proxy }),
    ...(clientCertificate !== undefined && { clientCertificate }),
  }
}

function readProxy(given: string | undefined, reportError: ReportKeyError): ProxySetting {
  if (given === undefined || given === 'none') return given
  const proxy = parseProxy(given)
  if (proxy !== null) return proxy
  // The URL may contain a password, so the message does not repeat it.
  reportError('proxy', 'not the URL of an HTTP proxy; write http://HOST:PORT, or none')
  return undefined
}

function clientCertificateOf(
  { clientCertificate: given }: RegistryInput,
  directory: string,
  reportError: ReportKeyError,
): ClientCertificateSettings | undefined {
  if (given === undefined) return undefined
  if ('secret' in given) return { kind: 'secret', name: given.secret }
  // The message does not repeat what may be a key.
  if ([given.cert, given.key].some((path) => /-----BEGIN|\n/.test(path))) {
    reportError('clientCertificate', '`cert` and `key` are the paths of files, not their content')
    return undefined
  }
  const [cert, key] = [resolvePath(directory, given.cert), resolvePath(directory, given.key)]
  return { kind: 'files', cert, key }
}

function credentialsOf(
  { credentials, host }: RegistryInput,
  {
    directory,
    proxy,
    reportError,
  }: {
    readonly directory: string
    readonly proxy: ProxySetting
    readonly reportError: ReportKeyError
  },
): CredentialSettings | null {
  if (credentials === undefined) return null
  if ('secret' in credentials) return { kind: 'secret', name: credentials.secret }
  if ('ecr' in credentials)
    return readEcr(credentials.ecr, { host, directory, proxy }, (message) =>
      reportError('credentials', message),
    )
  if (/["'{}\n]/.test(credentials.dockerConfig))
    reportError(
      'credentials',
      '`dockerConfig` is not the path of a file; write its content to a file, and give the path of the file',
    )
  return { kind: 'dockerConfig', file: resolvePath(directory, credentials.dockerConfig) }
}

function shownCredentialsFile({ credentials }: RegistryInput, file: string): string {
  const given = credentials !== undefined && 'dockerConfig' in credentials
  return given ? shownPath(credentials.dockerConfig, file) : file
}

/** Returns the URL of a registry, given or default; null if the host or the URL is invalid. */
function endpointOf(
  host: string,
  given: string | undefined,
  reportError: ReportKeyError,
): URL | null {
  if (!isHost(host)) {
    reportError('host', '… is not a host; write it as in images, for example anubis:32000')
    return null
  }
  const text = given ?? defaultEndpoint(host)
  if (!URL.canParse(text) || !/^https?:\/\/[^/?#]/.test(text)) {
    reportError('endpoint', '… is not a URL; write http://HOST:PORT or https://HOST')
    return null
  }
  const url = new URL(text)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    reportError(
      'endpoint',
      'the URL must not have a user, a query or a fragment; put credentials under `credentials`',
    )
    return null
  }
  // URL parsers read `0x7f.1` and `①②⑦.0.0.1` as 127.0.0.1. Berth contacts only hosts that the config names as they are.
  const written = given ?? `https://${host}`
  const authority = written.slice(written.indexOf('//') + 2).split('/', 1)[0] ?? ''
  const contacted = new URL(`http://${authority}`).host
  if (contacted !== authority.toLowerCase().replace(/:80$/, '')) {
    reportError(
      given === undefined ? 'host' : 'endpoint',
      `${authority} is the address ${contacted}; write ${contacted}`,
    )
    return null
  }
  return url
}

/** The CAs of a Linux distribution take 220 kB. */
const maxCaBytes = 1024 ** 2

/** What a file with certificates can also have, such as a private key, must not get to nodes. */
const certificates = /-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----/g

function readCa(given: string, directory: string, reportError: ReportKeyError): string | null {
  const file = resolvePath(directory, given)
  try {
    const text = readRegularFile(file, maxCaBytes).toString('utf8')
    const pem = text.includes('PRIVATE KEY-----')
      ? (text.match(certificates) ?? []).map((each) => `${each}\n`).join('')
      : text
    // Imported only here: it takes longer to load than the rest of the config.
    process.getBuiltinModule('node:tls').createSecureContext({ ca: pem })
    if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem
  } catch {
    // The error below covers a missing file and an invalid one.
  }
  reportError(
    'ca',
    `cannot read a PEM certificate from ${shownPath(given, file)}; check the path and the file`,
  )
  return null
}
