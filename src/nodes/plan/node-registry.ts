/** Where a node reaches a registry, which need not be where Berth does: Berth may use a Service that no node can resolve. */
import { defaultDomain } from '../../decision/reference/reference.ts'
import type { RegistrySettings } from '../../registry/settings.ts'

export interface NodeRegistry {
  /** As images write it. */
  readonly host: string
  /** Scheme, host and perhaps a path, without a `/` at the end. */
  readonly url: string
  /** `host:port` of the URL, port as written. */
  readonly authority: string
  /** The path of the URL, empty or with a `/` in front. */
  readonly basePath: string
  readonly plainHttp: boolean
  /** PEM of a private CA; a public certificate, so no secret. */
  readonly ca: string | null
}

/** Docker Hub answers under another name than its images have (distribution/reference, normalize.go). */
const dockerHub = 'https://registry-1.docker.io'

/**
 * The registry as a node sees it: at `nodeEndpoint`, or else under the name that images have, with the scheme of the endpoint.
 * A host that the config does not list is reached by https.
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
    // containerd would ask an http mirror by https first if there were a CA (remotes/docker/config, hosts.go).
    ca: plainHttp ? null : (settings?.ca ?? null),
  }
}

function urlOf(host: string, settings: RegistrySettings | undefined): URL {
  if (settings?.nodeEndpoint !== undefined) return settings.nodeEndpoint
  if (host === defaultDomain) return new URL(dockerHub)
  if (settings === undefined) return new URL(`https://${host}`)
  const byName = new URL(`${settings.endpoint.protocol}//${host}`)
  return byName.host === settings.endpoint.host ? settings.endpoint : byName
}

/** True when a runtime would find the registry by its name alone. */
export function isFoundByName({ host, url, ca }: NodeRegistry): boolean {
  return ca === null && url === (host === defaultDomain ? dockerHub : `https://${host}`)
}
