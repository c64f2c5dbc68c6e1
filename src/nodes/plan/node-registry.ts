/** Where a node reaches a registry. Berth can use another address, such as a Service that nodes cannot resolve. */
import { defaultDomain } from '../../decision/reference/reference.ts'
import { defaultEndpoint, type RegistrySettings } from '../../registry/http/registry-settings.ts'

export interface NodeRegistry {
  /** The host as images name it. */
  readonly host: string
  /** Scheme, host and optional path, without a trailing `/`. */
  readonly url: string
  /** `host:port` of the URL, with the port as written. */
  readonly authority: string
  /** The path of the URL: empty, or with a leading `/`. */
  readonly basePath: string
  readonly plainHttp: boolean
  /** PEM of a private CA; certificates are public, so this is not a secret. */
  readonly ca: string | null
}

/**
 * Returns the registry as a node sees it: at its `nodeEndpoint`, or else under the host that images name, with the scheme
 * of its endpoint. A host that the config does not list uses https.
 */
export function nodeRegistry(host: string, settings: RegistrySettings | undefined): NodeRegistry {
  const url = urlOf(host, settings)
  const plainHttp = url.protocol === 'http:'
  const basePath = url.pathname.replace(/\/+$/, '')
  return {
    host,
    url: `${url.protocol}//${url.host}${basePath}`,
    authority: url.host,
    basePath,
    plainHttp,
    // With a CA, containerd would ask an http mirror by https first (remotes/docker/config, hosts.go).
    ca: plainHttp ? null : (settings?.ca ?? null),
  }
}

function urlOf(host: string, settings: RegistrySettings | undefined): URL {
  if (settings?.nodeEndpoint !== undefined) return settings.nodeEndpoint
  if (host === defaultDomain || settings === undefined) return new URL(defaultEndpoint(host))
  const byName = new URL(`${settings.endpoint.protocol}//${host}`)
  return byName.host === settings.endpoint.host ? settings.endpoint : byName
}

/** True if a runtime finds and trusts the registry by its name alone. */
export function isFoundByName({ host, url, ca }: NodeRegistry): boolean {
  return ca === null && url === defaultEndpoint(host)
}
