/** Requests of one caller to one repository: with nothing at first, and with what the registry then asks for. */
import { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import type { Credential } from '../../credentials/keychain.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import { failed, type RequestFailure, shortHost } from '../http/network-error.ts'
import { checkTokenServer } from './token-server-policy.ts'
import type { RegistrySettings } from '../http/registry-settings.ts'
import { describeStatus } from '../http/status.ts'
import { basicAuthorization, type TokenSource } from './token-source.ts'
import type { HttpResponse, SendResult, Transport, TransportRequest } from '../http/transport.ts'

/** What a repository asked for, and which credential it took: saves the first 401 of the next request. */
interface AcceptedChallenge {
  readonly challenge: Challenge
  /** Its place among the candidates, which are the same for the same identity. */
  readonly index: number
}

export type ChallengeCache = LRUCache<string, AcceptedChallenge>

/** As many as tokens are kept: one without the other saves nothing. */
const maxRemembered = 1_000

export function createChallengeCache(): ChallengeCache {
  return new LRUCache({ max: maxRemembered })
}

export interface SessionDependencies {
  readonly settings: RegistrySettings
  readonly transport: Transport
  readonly tokens: TokenSource
  readonly challenges: ChallengeCache
  readonly now: () => number
}

export interface SessionOptions {
  readonly repository: string
  readonly credentials: readonly Credential[]
  readonly identity: string
  /** What is asked of a token server, the most needed first; pulling from the repository when left out. */
  readonly scopes?: readonly string[]
}

export type SessionRequest = Omit<TransportRequest, 'maxRedirects'>

/** containerd and Go's net/http follow as many. */
const maxRedirects = 10

type Granted =
  | {
      readonly ok: true
      readonly authorization: string
      /** Null for a user and password, which came from no token server. */
      readonly realm: string | null
      readonly forget: () => void
    }
  | { readonly ok: false; readonly failure: RequestFailure }

/** A place that has been named and has nothing for this registry is what is mostly wrong. */
function without({ credentials, host }: RegistrySettings): string {
  if (credentials === null || credentials.kind === 'ecr') return 'no credentials'
  const place = credentials.kind === 'secret' ? `secret ${credentials.name}` : credentials.file
  return `no credentials: ${place} has no key with a user and password that a kubelet would use for ${host}`
}

/** A function that sends a request and answers challenges: once for each credential, and then no more. */
export function createSession(
  dependencies: SessionDependencies,
  caller: SessionOptions,
): (request: SessionRequest) => Promise<SendResult> {
  const { settings, transport, tokens, challenges, now } = dependencies
  const { host, endpoint, allowPlainHttpAuth } = settings
  // Ours, never the challenge's: ghcr.io's is a placeholder, and a registry could ask for more than is needed.
  const scopes = caller.scopes ?? [`repository:${caller.repository}:pull`]
  const key = JSON.stringify([scopes, caller.identity])
  const isWithheld =
    endpoint.protocol === 'http:' && !allowPlainHttpAuth && caller.credentials.length > 0
  const candidates = isWithheld || caller.credentials.length === 0 ? [null] : caller.credentials

  const authorise = async (
    { challenge, index }: AcceptedChallenge,
    signal: AbortSignal,
  ): Promise<Granted> => {
    const credential = candidates[index] ?? null
    if (challenge.scheme === 'basic') {
      const { authorization } = basicAuthorization(credential)
      return authorization === undefined
        ? { ok: false, failure: failed('denied', `${host} wants a user and password`) }
        : { ok: true, authorization, realm: null, forget: () => undefined }
    }
    const checked = checkTokenServer(challenge.parameters.get('realm'), settings)
    if (!checked.ok) return { ok: false, failure: failed('denied', checked.detail) }
    const { realm } = checked
    const service = challenge.parameters.get('service')
    const result = await tokens.get({ realm, service, scopes, credential, signal })
    if (!result.ok) return result
    const { token, forget } = result
    return { ok: true, authorization: `Bearer ${token}`, realm: shortHost(realm), forget }
  }

  const attempt = (request: SessionRequest, authorization: string | null): Promise<SendResult> =>
    transport.send({
      ...request,
      headers: {
        ...request.headers,
        // A registry may send an upload elsewhere; who that is has not asked for credentials, and does not get any.
        ...(authorization === null || request.url.origin !== endpoint.origin
          ? {}
          : { authorization }),
      },
      maxRedirects,
    })

  const denied = (reason: string): SendResult => {
    const sources = candidates.map((credential) => credential?.source ?? without(settings))
    const note = isWithheld ? '; they are not sent over plain HTTP without allowPlainHttpAuth' : ''
    return {
      ok: false,
      failure: failed(
        'denied',
        `${reason}; asked for ${scopes.join(' ')} with ${sources.join(', ')}${note}`,
      ),
    }
  }

  const answerChallenge = async (
    request: SessionRequest,
    challenge: Challenge,
  ): Promise<SendResult> => {
    let reason = ''
    for (const index of candidates.keys()) {
      const granted = await authorise({ challenge, index }, request.signal)
      if (!granted.ok) {
        if (granted.failure.outcome !== 'denied') return granted
        reason = granted.failure.detail
        continue
      }
      const sent = await attempt(request, granted.authorization)
      if (!isChallenged(sent)) {
        challenges.set(key, { challenge, index })
        return sent
      }
      granted.forget()
      const token = granted.realm === null ? '' : ` to a token of ${granted.realm}`
      reason = `${describeStatus(sent.response, now)} from ${host}${token}`
    }
    return denied(reason)
  }

  return async (request) => {
    const known = challenges.get(key)
    const granted = known === undefined ? null : await authorise(known, request.signal)
    if (granted?.ok === false && granted.failure.outcome !== 'denied') return granted
    const first = await attempt(request, granted?.ok === true ? granted.authorization : null)
    if (!isChallenged(first)) return first
    if (granted?.ok === true) granted.forget()
    challenges.delete(key)
    // A stream is gone once it was sent: the caller has to begin again, and will then be asked anew.
    if (request.body instanceof Readable) return first
    const challenge = selectChallenge(first.response)
    return challenge === null
      ? denied(`${describeStatus(first.response, now)} from ${host}`)
      : answerChallenge(request, challenge)
  }
}

/** A 401 of the registry's own. One from where it redirected to is an answer, not a question. */
function isChallenged(
  sent: SendResult,
): sent is { readonly ok: true; readonly response: HttpResponse } {
  return sent.ok && sent.response.status === 401 && sent.response.isFromRegistry
}

/** Bearer before Basic, as go-containerregistry does: a token is worth less to whoever sees it. */
export function selectChallenge(response: HttpResponse): Challenge | null {
  const challenges = parseChallenges(response.header('www-authenticate'))
  const find = (wanted: string) => challenges.find(({ scheme }) => scheme === wanted)
  return find('bearer') ?? find('basic') ?? null
}
