/**
 * Decides which requests the console answers. The page itself has no data. Everything else needs the token of the address that
 * `berth console` prints, in a header: a page of another origin cannot send it, and no cookie goes to other ports of this host.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export interface GuardOptions {
  /** Null if something in front of the server signs people in. */
  readonly token: string | null
  /** The hosts of a request, with the port. Any other can be a name that its owner pointed here (DNS rebinding). */
  readonly hosts: ReadonlySet<string>
}

export interface Refusal {
  readonly status: 401 | 403 | 421
  readonly message: string
}

/**
 * Returns why a request is refused; null if it is answered. `isPage`: it asks for a file of the page, which needs no token.
 */
export function refuse(
  { token, hosts }: GuardOptions,
  { isPage, headers }: { readonly isPage: boolean; readonly headers: IncomingHttpHeaders },
): Refusal | null {
  const { host = '', origin, authorization = '' } = headers
  if (!hosts.has(host.toLowerCase()))
    return { status: 421, message: 'use the address that berth console prints' }
  const site = headers['sec-fetch-site']
  const isForeign =
    (origin !== undefined && origin !== `http://${host}`) ||
    (site !== undefined && site !== 'same-origin' && site !== 'none')
  if (isPage) return null
  if (isForeign) return { status: 403, message: 'the request comes from another site' }
  if (token !== null && !isSame(authorization, `Bearer ${token}`))
    return { status: 401, message: 'open the address that berth console prints: it has the token' }
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
