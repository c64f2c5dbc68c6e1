/** Decides whether credentials may be sent to a URL over plain HTTP, where a proxy between can read them. */
import { ProxyError } from '../../proxy/proxy-error.ts'
import type { ProxyRules } from '../../proxy/proxy-rules.ts'
import type { RegistrySettings } from '../http/registry-settings.ts'

interface PlainHttpContext {
  readonly settings: Pick<RegistrySettings, 'allowPlainHttpAuth' | 'proxy'>
  readonly proxyFor: ProxyRules
}

/**
 * Returns why no credential may be sent to this URL; null if one may. `allowPlainHttpAuth` trusts the path to the registry, and
 * `proxy` of the registry also trusts that proxy. A proxy of the environment is chosen for other reasons.
 */
export function plainHttpRefusal(
  url: URL,
  { settings, proxyFor }: PlainHttpContext,
): string | null {
  if (url.protocol !== 'http:') return null
  if (!settings.allowPlainHttpAuth)
    return 'credentials are sent over plain HTTP only with allowPlainHttpAuth'
  const proxy = settings.proxy === undefined ? nameOfProxy(url, proxyFor) : null
  return proxy === null
    ? null
    : `credentials are not sent over plain HTTP through the proxy ${proxy} of the environment; set \`proxy\` for this registry, add ${url.host} to NO_PROXY, or use https`
}

/** Null also if a variable does not name a usable proxy: the request fails with that error. */
function nameOfProxy(url: URL, proxyFor: ProxyRules): string | null {
  try {
    return proxyFor(url)?.name ?? null
  } catch (error) {
    if (error instanceof ProxyError) return null
    throw error
  }
}
