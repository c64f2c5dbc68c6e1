/** Builds and compares the URLs of registries and token servers. */

/** Returns the URL of `/v2/PATH` (distribution-spec, Endpoints) below the endpoint's own path. */
export function apiUrl(endpoint: URL, path: string): URL {
  const url = new URL(endpoint)
  url.pathname = `${endpoint.pathname.replace(/\/$/, '')}/v2/${path}`
  return url
}

/**
 * Returns the URL with the path and query of another one on the endpoint; null if that is not below `/v2/`. A registry behind
 * a proxy sends URLs with the scheme, host and path prefix that it sees itself.
 */
export function onEndpoint(endpoint: URL, { pathname, search }: URL): URL | null {
  const prefix = endpoint.pathname.replace(/\/$/, '')
  const start = pathname.startsWith(`${prefix}/v2/`) ? prefix.length : pathname.indexOf('/v2/')
  if (start === -1) return null
  const url = apiUrl(endpoint, pathname.slice(start + '/v2/'.length))
  url.search = search
  return url
}

/** Returns a host as URLs write it, without the scheme's default port; null if it is not a valid URL host. */
export function normalizeHost(host: string, protocol: string): string | null {
  const text = `${protocol}//${host}`
  return URL.canParse(text) ? new URL(text).host : null
}

/** Returns the https and http origins of a host. */
export function originsOf(host: string): readonly string[] {
  return ['https:', 'http:'].flatMap((protocol) => {
    const name = normalizeHost(host, protocol)
    return name === null ? [] : [`${protocol}//${name}`]
  })
}

/** Returns the host of a URL for messages. Cuts off what is longer than a DNS name can be (253 characters). */
export function displayHost(url: URL, host: string = url.host): string {
  return host.length > 253 ? `${host.slice(0, 60)}…` : host
}
