/** Fetches bearer tokens and caches them until they expire (distribution, docs/content/spec/auth/token.md). */
import { LRUCache } from 'lru-cache'
import { credentialIdentity } from '../../credentials/credential-identity.ts'
import type { Credential } from '../../credentials/keychain.ts'
import { failed, type RequestFailure } from '../http/network-error.ts'
import { describeStatus, failureForStatus } from '../http/status.ts'
import type { HttpResponse, TransportRequest } from '../http/messages.ts'
import type { Transport } from '../http/transport.ts'
import { displayHost } from '../http/urls.ts'

interface TokenRequest {
  /** The token server. The caller has checked that it is trusted. */
  readonly realm: URL
  readonly service: string | undefined
  readonly scopes: readonly string[]
  readonly credential: Credential | null
  readonly signal: AbortSignal
}

type TokenResult =
  | {
      readonly ok: true
      readonly token: string
      /** Removes the token from the cache. To be called when the registry rejects it: the next token may have more rights. */
      readonly forget: () => void
    }
  | { readonly ok: false; readonly failure: RequestFailure }

export interface TokenSource {
  get(request: TokenRequest): Promise<TokenResult>
}

export interface TokenSourceDependencies {
  readonly transport: Transport
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Tokens of up to 8 KiB have been seen (with long lists of groups). */
const maxTokenBytes = 64 * 1024

/** One for each repository in use. */
const maxTokens = 1_000

/** 2 KiB for each token. */
const maxCacheBytes = 2 * 1024 * 1024

/** The specification's default. */
const defaultLifetimeSeconds = 60

/** A day. A longer lifetime is not needed, because a revoked token is noticed by its 401. */
const maxLifetimeSeconds = 86_400

/** The last tenth of the lifetime is not used, to allow for latency and for clocks that differ. */
const usedShare = 0.9

/** Creates a source that caches each token for the credential that it was issued to. */
export function createTokenSource({ transport, now }: TokenSourceDependencies): TokenSource {
  const cache = new LRUCache<string, string>({
    max: maxTokens,
    maxSize: maxCacheBytes,
    sizeCalculation: (token, key) => token.length + key.length,
    ttlResolution: 0,
    perf: { now },
  })

  return {
    async get(request) {
      const { realm, service, scopes, credential } = request
      const identity = credentialIdentity(credential === null ? [] : [credential])
      const key = JSON.stringify([realm.href, service, scopes, identity])
      const forget = () => void cache.delete(key)
      const cached = cache.get(key)
      if (cached !== undefined) return { ok: true, token: cached, forget }
      const sent = await transport.send({
        ...tokenRequest(request),
        maxBodyBytes: maxTokenBytes,
        maxRedirects: 0,
        signal: request.signal,
      })
      const server = `token server ${displayHost(realm)}`
      if (!sent.ok) return refuse(sent.failure, `${server}: ${sent.failure.detail}`)
      const { response } = sent
      if (response.status !== 200) {
        return refuse(
          failureOf(response, now),
          `${describeStatus(response, now)} from the ${server}`,
        )
      }
      const issued = parseToken(response.body)
      if (issued === null) {
        return refuse(failed('invalid', ''), `the ${server} sent no usable token`)
      }
      const ttl = Math.floor(issued.lifetimeSeconds * usedShare * 1000)
      // lru-cache keeps an entry with a TTL of 0 forever.
      if (ttl > 0) cache.set(key, issued.token, { ttl })
      return { ok: true, token: issued.token, forget }
    },
  }
}

/** A refresh token is sent in a form (distribution, docs/content/spec/auth/oauth.md), a password as Basic authorization. */
function tokenRequest(
  request: TokenRequest,
): Pick<TransportRequest, 'method' | 'url' | 'headers' | 'body'> {
  const { realm, service, scopes, credential } = request
  const accept = 'application/json'
  if (credential?.identityToken === undefined) {
    const headers = { accept, ...basicAuthorization(credential) }
    return { method: 'GET', url: tokenUrl(request), headers }
  }
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'berth',
    ...(service === undefined ? {} : { service }),
    scope: scopes.join(' '),
    refresh_token: credential.identityToken,
  })
  const headers = { accept, 'content-type': 'application/x-www-form-urlencoded' }
  return { method: 'POST', url: realm, headers, body: Buffer.from(form.toString()) }
}

/** Returns the header for a user and password, or no header. In UTF-8 (RFC 7617), as Docker sends it. */
export function basicAuthorization(credential: Credential | null): {
  readonly authorization?: string
} {
  if (credential === null || credential.identityToken !== undefined) return {}
  const pair = Buffer.from(`${credential.username}:${credential.password}`, 'utf8')
  return { authorization: `Basic ${pair.toString('base64')}` }
}

/** Keeps the query of the realm, except its scopes: Berth decides which ones it requests. */
function tokenUrl({ realm, service, scopes }: TokenRequest): URL {
  const url = new URL(realm)
  const realmQuery = url.search
    .slice(1)
    .split('&')
    .filter((part) => part !== '' && !new URLSearchParams(part).has('scope'))
  const query = new URLSearchParams(service === undefined ? {} : { service })
  for (const scope of scopes) query.append('scope', scope)
  url.search = [...realmQuery, query.toString()].join('&')
  return url
}

/** Any status except 429 and 5xx is a denial: token servers send 401 for a wrong password. */
function failureOf(response: HttpResponse, now: () => number): RequestFailure {
  const failure = failureForStatus(response, now)
  const isTemporary = failure.outcome === 'limited' || failure.outcome === 'unreachable'
  return isTemporary ? failure : failed('denied', failure.detail)
}

function refuse({ outcome }: RequestFailure, detail: string): TokenResult {
  return { ok: false, failure: failed(outcome, detail) }
}

function parseToken(
  body: Buffer | null,
): { readonly token: string; readonly lifetimeSeconds: number } | null {
  if (body === null) return null
  try {
    const document = (JSON.parse(body.toString('utf8')) ?? {}) as Readonly<Record<string, unknown>>
    const { token: specified, access_token: oauth, expires_in: expiresIn } = document
    const token = typeof specified === 'string' && specified !== '' ? specified : oauth
    // Other characters are not allowed in a header.
    if (typeof token !== 'string' || !/^[!-~]+$/.test(token)) return null
    const isLifetime = typeof expiresIn === 'number' && expiresIn > 0
    const lifetimeSeconds = isLifetime ? expiresIn : defaultLifetimeSeconds
    return { token, lifetimeSeconds: Math.min(lifetimeSeconds, maxLifetimeSeconds) }
  } catch {
    return null
  }
}
