/** Sends requests to one repository and answers authentication challenges with the given credentials. */
import { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import type { Credential } from '../../credentials/keychain.ts'
import type { ProxyRules } from '../../proxy/proxy-rules.ts'
import { failed, type RequestFailure } from '../http/network-error.ts'
import type { RegistrySettings } from '../http/registry-settings.ts'
import { describeStatus } from '../http/status.ts'
import type { HttpResponse, SendResult, TransportRequest } from '../http/messages.ts'
import type { Transport } from '../http/transport.ts'
import { displayHost } from '../http/urls.ts'
import { plainHttpRefusal } from './plain-http.ts'
import { type Challenge, parseChallenges, selectChallenge } from './challenge.ts'
import { checkTokenServer } from './token-server-policy.ts'
import { basicAuthorization, type TokenSource } from './token-source.ts'

/** The last challenge of a repository and the credential that it accepted. Saves the first 401 of the next request. */
interface AcceptedChallenge {
  readonly challenge: Challenge
  /** The index of the credential. Sessions with the same identity have the same credentials, in the same order. */
  readonly index: number
}

export type ChallengeCache = LRUCache<string, AcceptedChallenge>

/** As many as there are cached tokens: one saves nothing without the other. */
const maxChallenges = 1_000

/** 1,000 bytes for each challenge: a realm, a service and a scope. A registry can send 16 KiB. */
const maxChallengeBytes = 1_000_000

/** Estimate for a map, its entries and the objects around them. */
const challengeOverheadBytes = 300

export function createChallengeCache(): ChallengeCache {
  return new LRUCache({
    max: maxChallenges,
    maxSize: maxChallengeBytes,
    sizeCalculation: ({ challenge }, key) =>
      [...challenge.parameters].reduce(
        (bytes, [name, value]) => bytes + name.length + value.length,
        key.length + challengeOverheadBytes,
      ),
  })
}

export interface SessionDependencies {
  readonly settings: RegistrySettings
  readonly transport: Transport
  readonly tokens: TokenSource
  readonly challenges: ChallengeCache
  /** The proxies of this registry. */
  readonly proxyFor: ProxyRules
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export interface SessionOptions {
  readonly repository: string
  readonly credentials: readonly Credential[]
  /** The result of `credentialIdentity` for these credentials. */
  readonly identity: string
  /** The token scopes to request, the most important first. Default: pull from the repository. */
  readonly scopes?: readonly string[]
}

export type SessionRequest = Omit<TransportRequest, 'maxRedirects'>

/** The limit of containerd and of Go's net/http. */
const maxRedirects = 10

type Authorization =
  | {
      readonly ok: true
      readonly header: string
      /** The host of the token server; null for basic authentication. */
      readonly tokenServer: string | null
      readonly forget: () => void
    }
  | { readonly ok: false; readonly failure: RequestFailure }

interface Session extends SessionDependencies {
  readonly scopes: readonly string[]
  /** The credentials to try, in order; null for anonymous. */
  readonly candidates: readonly (Credential | null)[]
  /** Why there are credentials that must not be sent over plain HTTP; null if they may, or if there are none. */
  readonly withheld: string | null
  /** The key of the session in the challenge cache. */
  readonly key: string
}

/** Returns a function that sends a request. On a challenge, it tries each credential once. */
export function createSession(
  dependencies: SessionDependencies,
  { repository, credentials, identity, scopes: requested }: SessionOptions,
): (request: SessionRequest) => Promise<SendResult> {
  // Not the scope of the challenge: ghcr.io sends a placeholder, and a registry could ask for more than Berth needs.
  const scopes = requested ?? [`repository:${repository}:pull`]
  const hasCredentials = credentials.length > 0
  const withheld = hasCredentials
    ? plainHttpRefusal(dependencies.settings.endpoint, dependencies)
    : null
  const session: Session = {
    ...dependencies,
    scopes,
    candidates: withheld === null && hasCredentials ? credentials : [null],
    withheld,
    key: JSON.stringify([scopes, identity]),
  }
  return (request) => send(session, request)
}

async function send(session: Session, request: SessionRequest): Promise<SendResult> {
  const { settings, challenges, key, now } = session
  const accepted = challenges.get(key)
  const cached = accepted === undefined ? null : await authorize(session, accepted, request.signal)
  if (cached?.ok === false && cached.failure.outcome !== 'denied') return cached
  const first = await sendWith(session, request, cached?.ok === true ? cached.header : null)
  if (!isChallenged(first)) return first
  const { origin } = settings.endpoint
  if (request.url.origin !== origin) {
    const status = `${describeStatus(first.response, now)} from ${displayHost(request.url)}`
    const reason = `${settings.host} sends the request there, but gets credentials only at ${origin}`
    return { ok: false, failure: failed('denied', `${status}; ${reason}`) }
  }
  if (cached?.ok === true) cached.forget()
  challenges.delete(key)
  // A stream cannot be sent twice. The caller starts again, and then answers a new challenge.
  if (request.body instanceof Readable) return first
  const challenge = selectChallenge(parseChallenges(first.response.header('www-authenticate')))
  return challenge === null
    ? denied(session, `${describeStatus(first.response, now)} from ${settings.host}`)
    : answerChallenge(session, request, challenge)
}

async function answerChallenge(
  session: Session,
  request: SessionRequest,
  challenge: Challenge,
): Promise<SendResult> {
  const { settings, challenges, key, now } = session
  let reason = ''
  for (const index of session.candidates.keys()) {
    const authorization = await authorize(session, { challenge, index }, request.signal)
    if (!authorization.ok) {
      if (authorization.failure.outcome !== 'denied') return authorization
      reason = authorization.failure.detail
      continue
    }
    const sent = await sendWith(session, request, authorization.header)
    if (!isChallenged(sent)) {
      challenges.set(key, { challenge, index })
      return sent
    }
    authorization.forget()
    const { tokenServer } = authorization
    const token = tokenServer === null ? '' : ` for a token from ${tokenServer}`
    reason = `${describeStatus(sent.response, now)} from ${settings.host}${token}`
  }
  return denied(session, reason)
}

async function authorize(
  { settings, tokens, scopes, candidates, proxyFor }: Session,
  { challenge, index }: AcceptedChallenge,
  signal: AbortSignal,
): Promise<Authorization> {
  const credential = candidates[index] ?? null
  if (challenge.scheme === 'basic') {
    const { authorization } = basicAuthorization(credential)
    return authorization === undefined
      ? { ok: false, failure: failed('denied', needsPassword(settings.host, credential)) }
      : { ok: true, header: authorization, tokenServer: null, forget: () => undefined }
  }
  const checked = checkTokenServer(challenge.parameters.get('realm'), settings)
  if (!checked.ok) return { ok: false, failure: failed('denied', checked.detail) }
  const { realm } = checked
  const refusal = credential === null ? null : plainHttpRefusal(realm, { settings, proxyFor })
  if (refusal !== null) return { ok: false, failure: failed('denied', refusal) }
  const service = challenge.parameters.get('service')
  const result = await tokens.get({ realm, service, scopes, credential, signal })
  if (!result.ok) return result
  const { token, forget } = result
  return { ok: true, header: `Bearer ${token}`, tokenServer: displayHost(realm), forget }
}

function needsPassword(host: string, credential: Credential | null): string {
  const reason = credential === null ? '' : ', and has no token server for an identitytoken'
  return `${host} requires a user and password${reason}`
}

function sendWith(
  { settings, transport }: Session,
  request: SessionRequest,
  authorization: string | null,
): Promise<SendResult> {
  // A registry may redirect an upload to another host. That host has not sent a challenge.
  const isAuthorized = authorization !== null && request.url.origin === settings.endpoint.origin
  const headers = { ...request.headers, ...(isAuthorized ? { authorization } : {}) }
  return transport.send({ ...request, headers, maxRedirects })
}

function denied({ settings, scopes, candidates, withheld }: Session, reason: string): SendResult {
  const sources = candidates.map(
    (credential) => credential?.source ?? describeMissingCredentials(settings),
  )
  const note = withheld === null ? '' : `; ${withheld}`
  const detail = `${reason}; requested ${scopes.join(' ')} with ${sources.join(', ')}${note}`
  return { ok: false, failure: failed('denied', detail) }
}

/** Describes why there are no credentials. Usual cause: the configured secret or file has no entry for the registry. */
function describeMissingCredentials({ credentials, host }: RegistrySettings): string {
  if (credentials === null || credentials.kind === 'ecr') return 'no credentials'
  const source = credentials.kind === 'secret' ? `secret ${credentials.name}` : credentials.file
  return `no credentials: ${source} has no entry for ${host} with a user and password`
}

/** True for a 401 of the registry itself. The 401 of a host that it redirected to is a result, not a challenge. */
function isChallenged(
  sent: SendResult,
): sent is { readonly ok: true; readonly response: HttpResponse } {
  return sent.ok && sent.response.status === 401 && sent.response.isFromRegistry
}
