/**
 * Decides which requests the console answers. The page itself has no data. Everything else needs to come from the page, and
 * needs a token if there is one, in a header: a page of another origin cannot send it, and no cookie goes to other ports of
 * this host.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export interface GuardOptions {
  /** Returns the token; null if something in front of the server authenticates people. */
  readonly token: () => string | null
  /**
   * Returns the origin of the page for the host of a request, in lower case; null for another host. Its owner can have
   * pointed it here (DNS rebinding).
   */
  readonly originOf: (host: string) => string | null
  /** Where people find the address and the token. */
  readonly hint: string
}

export interface Refusal {
  readonly status: 401 | 403 | 421
  readonly message: string
}

/** Accepts the host `127.0.0.1` and `localhost` with this port, and a token. */
export function localGuard(port: number, token: string): GuardOptions {
  const hosts = new Set([`127.0.0.1:${port}`, `localhost:${port}`])
  return {
    token: () => token,
    originOf: (host) => (hosts.has(host) ? `http://${host}` : null),
    hint: 'open the address that berth console prints',
  }
}

/**
 * Accepts this machine with any port, because `kubectl port-forward` chooses one, and the host of a URL. Only a browser on the
 * machine of the port-forward sends the names of this machine.
 */
export function clusterGuard(url: URL | null, token: () => string | null): GuardOptions {
  return {
    token,
    originOf(host) {
      if (/^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/.test(host)) return `http://${host}`
      return host === url?.host ? url.origin : null
    },
    hint: 'open it through kubectl port-forward, or at the address of --console-url',
  }
}

/**
 * Returns why a request is refused; null if it is answered. `isPage`: it asks for a file of the page, which needs no token.
 */
export function refuse(
  { token, originOf, hint }: GuardOptions,
  { isPage, headers }: { readonly isPage: boolean; readonly headers: IncomingHttpHeaders },
): Refusal | null {
  const { host = '', origin, authorization = '' } = headers
  const own = originOf(host.toLowerCase())
  if (own === null) return { status: 421, message: `not an address of the console; ${hint}` }
  if (isPage) return null
  const site = headers['sec-fetch-site']
  const isForeign =
    (origin !== undefined && origin !== own) ||
    (site !== undefined && site !== 'same-origin' && site !== 'none')
  if (isForeign) return { status: 403, message: 'the request comes from another site' }
  const wanted = token()
  if (wanted !== null && !isSame(authorization, `Bearer ${wanted}`))
    return { status: 401, message: `the request has no valid token; ${hint}` }
  return null
}

/** Takes the same time for every text. */
function isSame(one: string, other: string): boolean {
  const [first, second] = [one, other].map((text) => createHash('sha256').update(text).digest())
  return first !== undefined && second !== undefined && timingSafeEqual(first, second)
}

/** For each response. The page loads its script and style from its own origin, and contacts no other server. */
export const responseHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}
