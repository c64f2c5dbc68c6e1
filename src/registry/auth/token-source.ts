/** Bearer tokens (distribution, docs/content/spec/auth/token.md): fetched from a realm, kept until they expire. */
import { LRUCache } from 'lru-cache'
import { credentialIdentity } from '../../credentials/credential-identity.ts'
import type { Credential } from '../../credentials/keychain.ts'
import { failed, type RequestFailure, shortHost } from '../http/network-error.ts'
import { describeStatus, failureForStatus } from '../http/status.ts'
import type { HttpResponse, Transport } from '../http/transport.ts'

interface TokenRequest {
  /** Already checked: nothing here asks whether it may be trusted. */
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
      /** To be called when the registry refuses the token: the next one may have more rights. */
      readonly forget: () => void
    }
  | { readonly ok: false; readonly failure: RequestFailure }

export interface TokenSource {
  get(request: TokenRequest): Promise<TokenResult>
}

export interface TokenSourceDependencies {
  readonly transport: Transport
  readonly now: () => number
}

/** Tokens have been seen up to 8 KiB (long lists of groups inside); this is what the registry's limits are meant for. */
const maxTokenBytes = 64 * 1024

/** One for each repository in use; at 2 KiB each, 2 MiB. */
const maxTokens = 1_000

/** What the specification says when the answer does not. */
const defaultLifeSeconds = 60

/** A day: longer than any registry gives, and a token that is withdrawn earlier is noticed by its 401. */
const maxLifeSeconds = 86_400

/** The last tenth is left for the way to the registry and for clocks that run apart. */
const usedShare = 0.9

/** Fetches tokens and keeps each for the one credential that it was given to. */
export function createTokenSource({ transport, now }: TokenSourceDependencies): TokenSource {
  const kept = new LRUCache<string, string>({ max: maxTokens, ttlResolution: 0, perf: { now } })

  return {
    async get(request) {
      const { realm, service, scopes, credential } = request
      const identity = credentialIdentity(credential === null ? [] : [credential])
      const key = JSON.stringify([realm.href, service, scopes, identity])
      const forget = () => void kept.delete(key)
      const known = kept.get(key)
      if (known !== undefined) return { ok: true, token: known, forget }
      const sent = await transport.send({
        method: 'GET',
        url: tokenUrl(request),
        headers: { accept: 'application/json', ...basicAuthorization(credential) },
        maxBodyBytes: maxTokenBytes,
        maxRedirects: 0,
        signal: request.signal,
      })
      const server = `token server ${shortHost(realm)}`
      if (!sent.ok) return refuse(sent.failure, `${server}: ${sent.failure.detail}`)
      const { response } = sent
      if (response.status !== 200) {
        return refuse(
          failureOfToken(response, now),
          `${describeStatus(response, now)} from the ${server}`,
        )
      }
      const answer = readToken(response.body)
      if (answer === null) return refuse(failed('invalid', ''), `the ${server} gave no token`)
      const ttl = Math.floor(answer.lifeSeconds * usedShare * 1000)
      // To lru-cache a time of 0 is for ever.
      if (ttl > 0) kept.set(key, answer.token, { ttl })
      return { ok: true, token: answer.token, forget }
    },
  }
}

/** The header for a user and password, or none. UTF-8, as RFC 7617 has it and Docker sends it. */
export function basicAuthorization(credential: Credential | null): {
  readonly authorization?: string
} {
  if (credential === null) return {}
  const pair = Buffer.from(`${credential.username}:${credential.password}`, 'utf8')
  return { authorization: `Basic ${pair.toString('base64')}` }
}

/** The realm's own query stays, but for a scope: what is asked for is ours to say. */
function tokenUrl({ realm, service, scopes }: TokenRequest): URL {
  const url = new URL(realm)
  const own = url.search
    .slice(1)
    .split('&')
    .filter((part) => part !== '' && !new URLSearchParams(part).has('scope'))
  const ours = new URLSearchParams(service === undefined ? {} : { service })
  for (const scope of scopes) ours.append('scope', scope)
  url.search = [...own, ours.toString()].join('&')
  return url
}

/** A token server that says anything but yes, wait or try later has said no: 401 is for a wrong password. */
function failureOfToken(response: HttpResponse, now: () => number): RequestFailure {
  const failure = failureForStatus(response, now)
  const isPassing = failure.outcome === 'limited' || failure.outcome === 'unreachable'
  return isPassing ? failure : failed('denied', failure.detail)
}

function refuse({ outcome }: RequestFailure, detail: string): TokenResult {
  return { ok: false, failure: failed(outcome, detail) }
}

function readToken(body: Buffer | null): { token: string; lifeSeconds: number } | null {
  if (body === null) return null
  try {
    const document = (JSON.parse(body.toString('utf8')) ?? {}) as Readonly<Record<string, unknown>>
    const { token, access_token: accessToken, expires_in: life } = document
    const text = typeof token === 'string' && token !== '' ? token : accessToken
    // Anything else cannot stand in a header.
    if (typeof text !== 'string' || !/^[!-~]+$/.test(text)) return null
    const isLife = typeof life === 'number' && life > 0
    return {
      token: text,
      lifeSeconds: Math.min(isLife ? life : defaultLifeSeconds, maxLifeSeconds),
    }
  } catch {
    return null
  }
}
