/** Determines the URL for the next request of an upload (distribution-spec, Pushing blobs: the Location header). */
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import type { HttpResponse } from '../http/messages.ts'
import { displayHost, normalizeHost, onEndpoint } from '../http/urls.ts'
import type { Repository } from '../registry-client.ts'

/**
 * Returns the URL of an upload. One on the registry's own host is used on the endpoint: a proxy that terminates TLS, changes
 * the port or adds a path prefix may not tell the registry. `before` is used if the response has no Location. Throws
 * RegistryError.
 */
export function uploadLocation(
  repository: Repository,
  { header, url }: HttpResponse,
  before?: URL,
): URL {
  const { host, endpoint } = repository
  const [location] = header('location')
  if (location === undefined && before !== undefined) return before
  if (location === undefined || !URL.canParse(location, url.href)) throw unusable(host)
  const next = new URL(location, url)
  if (next.username !== '' || next.password !== '') throw unusable(host)
  const own = isOwnHost(repository, next) ? onEndpoint(endpoint, next) : null
  if (own !== null) return own
  if (next.protocol === 'https:' || next.protocol === url.protocol) return next
  if (next.protocol !== 'http:') throw unusable(host)
  const detail =
    `${host} sends the upload to plain HTTP on ${displayHost(next)}; ` +
    'if a proxy in front of it terminates TLS, set X-Forwarded-Proto and Host there'
  throw new RegistryError(failed('invalid', detail))
}

/** True for the host of the endpoint or of the registry, also with another scheme or without the port. */
function isOwnHost({ host, endpoint }: Repository, next: URL): boolean {
  const names = [endpoint.host, normalizeHost(host, endpoint.protocol) ?? '']
  const hostnames = names.map((name) => name.replace(/:[0-9]+$/, ''))
  return names.includes(next.host) || (next.port === '' && hostnames.includes(next.hostname))
}

function unusable(host: string): RegistryError {
  const detail = `${host} sent an upload response without a usable Location header`
  return new RegistryError(failed('invalid', detail))
}
