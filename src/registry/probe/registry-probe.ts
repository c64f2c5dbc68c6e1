/**
 * Asks one registry what it says to one credential, for whoever wants to know why a pull fails: each answer apart, where a
 * walk through candidates would only keep the last. Manifests by HEAD alone, unless nobody counts pulls there.
 */
import type { Credential } from '../../credentials/keychain.ts'
import type { Network } from '../http/ip-ranges.ts'
import { apiUrl } from '../connections.ts'
import { shortHost } from '../http/network-error.ts'
import { acceptHeader, maxManifestBytes } from '../manifests/manifest-lookup.ts'
import { checkTokenServer, normalizeHost } from '../auth/token-server-policy.ts'
import { selectChallenge } from '../auth/session.ts'
import type { RegistrySettings } from '../http/registry-settings.ts'
import { describeStatus } from '../http/status.ts'
import { basicAuthorization, createTokenSource } from '../auth/token-source.ts'
import { createTransport, type HttpResponse, type SendResult } from '../http/transport.ts'

export type ProbeOutcome =
  | 'found'
  /** 404, to somebody whom the registry has let in. */
  | 'absent'
  /** The credential is not accepted, or there was none and the registry wants one. */
  | 'refused'
  /** Who asks was accepted, and may not see this; or it is not there, and the registry does not say which. */
  | 'no-right'
  | 'limited'
  /** 5xx, or no connection. */
  | 'unreachable'
  | 'invalid'
  | 'timeout'
  /** Not asked, for the credential's sake. */
  | 'unasked'

export interface ProbeResult {
  readonly outcome: ProbeOutcome
  /** Of the registry or its token server; null when neither answered. */
  readonly status: number | null
  /** How the registry wants people to show who they are. */
  readonly scheme: 'basic' | 'bearer' | null
  /** For people; no text that a registry made up. */
  readonly detail: string
}

export interface RegistryProbe {
  /** HEAD of a manifest, by tag or digest. */
  manifest(
    repository: string,
    reference: string,
    credential: Credential | null,
  ): Promise<ProbeResult>
  /** Tags of the first page; `absent` when there is no such repository, null when the registry does not say. */
  tags(
    repository: string,
    credential: Credential | null,
  ): Promise<readonly string[] | 'absent' | null>
  /** A manifest's JSON; null when there is none, or when asking would count as a pull. */
  document(repository: string, reference: string, credential: Credential | null): Promise<unknown>
  /** Whether a blob is there; null when the registry does not say. */
  hasBlob(
    repository: string,
    digest: string,
    credential: Credential | null,
  ): Promise<boolean | null>
  /** What Docker Hub says of the limit of whoever asks; null when it says nothing of one. */
  quota(
    credential: Credential | null,
  ): Promise<{ readonly limit: string; readonly remaining: string } | null>
  close(): Promise<void>
}

export interface RegistryProbeOptions {
  readonly network: Network
  readonly now: () => number
  /** Milliseconds for one answer, with all its redirects and tokens. */
  readonly answerMs: number
}

/** Docker Hub counts a GET of a manifest as a pull, and a HEAD not (docs.docker.com, "Docker Hub usage and limits"). */
const countingHost = 'docker.io'

/** The repository that Docker Hub has for reading one's limit (the same page). */
const quotaRepository = 'ratelimitpreview/test'

/** Tags are at most 128 bytes; ten thousand of them fit. */
const maxTagListBytes = 2 * 1024 * 1024

const maxRedirects = 10

interface Question {
  readonly method: 'HEAD' | 'GET'
  readonly path: string
  readonly repository: string
  readonly credential: Credential | null
  readonly maxBodyBytes: number
}

interface Exchange extends ProbeResult {
  readonly response: HttpResponse | null
}

/** Opens no connection until something is asked. */
export function createRegistryProbe(
  settings: RegistrySettings,
  { network, now, answerMs }: RegistryProbeOptions,
): RegistryProbe {
  const { host, endpoint, ca, authHosts, allowPlainHttpAuth } = settings
  const listedOrigins = new Set(
    [host, ...authHosts].flatMap((name) =>
      ['https:', 'http:'].flatMap((protocol) => {
        const known = normalizeHost(name, protocol)
        return known === null ? [] : [`${protocol}//${known}`]
      }),
    ),
  )
  const transport = createTransport({ network, registryOrigin: endpoint.origin, listedOrigins, ca })
  const tokens = createTokenSource({ transport, now })

  const ask = async (question: Question): Promise<Exchange> => {
    const { method, path, repository, credential, maxBodyBytes } = question
    const signal = AbortSignal.timeout(answerMs)
    const send = (authorization?: string) =>
      transport.send({
        method,
        url: apiUrl(endpoint, path),
        headers: {
          accept: acceptHeader,
          ...(authorization === undefined ? {} : { authorization }),
        },
        maxBodyBytes,
        maxRedirects,
        signal,
      })
    if (credential !== null && endpoint.protocol === 'http:' && !allowPlainHttpAuth)
      return unasked('it is not sent over plain HTTP without allowPlainHttpAuth')
    const first = await send()
    if (!first.ok || first.response.status !== 401) return heard(first, null, now)
    const challenge = selectChallenge(first.response)
    if (challenge?.scheme === 'basic') {
      const { authorization } = basicAuthorization(credential)
      return authorization === undefined
        ? heard(first, 'basic', now)
        : heard(await send(authorization), 'basic', now)
    }
    if (challenge === null) return heard(first, null, now)
    const checked = checkTokenServer(challenge.parameters.get('realm'), settings)
    if (!checked.ok) return unasked(checked.detail)
    const { realm } = checked
    const service = challenge.parameters.get('service')
    const scopes = [`repository:${repository}:pull`]
    const granted = await tokens.get({ realm, service, scopes, credential, signal })
    if (!granted.ok) {
      const { outcome, detail } = granted.failure
      const passed = outcome === 'denied' ? 'refused' : outcome
      return { ...outcomeOf(passed, detail), scheme: 'bearer', response: null, status: null }
    }
    const second = await send(`Bearer ${granted.token}`)
    const answer = heard(second, 'bearer', now)
    return answer.status === 401 ? { ...answer, outcome: 'no-right' } : answer
  }

  return {
    async manifest(repository, reference, credential) {
      const path = `${repository}/manifests/${reference}`
      const { outcome, status, scheme, detail } = await ask({
        method: 'HEAD', path, repository, credential, maxBodyBytes: 0,
      }) // prettier-ignore
      return { outcome, status, scheme, detail }
    },
    async tags(repository, credential) {
      const path = `${repository}/tags/list`
      const { response } = await ask({
        method: 'GET', path, repository, credential, maxBodyBytes: maxTagListBytes,
      }) // prettier-ignore
      if (response?.status === 404) return 'absent'
      const { tags } = parsed(response)
      return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : null
    },
    async document(repository, reference, credential) {
      if (host === countingHost) return null
      const path = `${repository}/manifests/${reference}`
      const { response } = await ask({
        method: 'GET', path, repository, credential, maxBodyBytes: maxManifestBytes,
      }) // prettier-ignore
      return response?.status === 200 ? parsed(response) : null
    },
    async hasBlob(repository, digest, credential) {
      const path = `${repository}/blobs/${digest}`
      const { status } = await ask({
        method: 'HEAD',
        path,
        repository,
        credential,
        maxBodyBytes: 0,
      })
      return status === 200 ? true : status === 404 ? false : null
    },
    async quota(credential) {
      if (host !== countingHost) return null
      const path = `${quotaRepository}/manifests/latest`
      const { response } = await ask({
        method: 'HEAD', path, repository: quotaRepository, credential, maxBodyBytes: 0,
      }) // prettier-ignore
      const [limit] = response?.header('ratelimit-limit') ?? []
      const [remaining] = response?.header('ratelimit-remaining') ?? []
      const isPlain = (value: string | undefined): value is string =>
        /^[0-9;w=]{1,40}$/.test(value ?? '')
      return isPlain(limit) && isPlain(remaining) ? { limit, remaining } : null
    },
    close: () => transport.close(),
  }
}

function unasked(detail: string): Exchange {
  return { outcome: 'unasked', status: null, scheme: null, detail, response: null }
}

function heard(sent: SendResult, scheme: ProbeResult['scheme'], now: () => number): Exchange {
  if (!sent.ok) {
    const { outcome, detail } = sent.failure
    return { ...outcomeOf(outcome, detail), scheme, status: null, response: null }
  }
  const { response } = sent
  const { status } = response
  const isPage = response.header('content-type').some((type) => type.startsWith('text/html'))
  const isWrong = status === 200 && isPage
  return {
    outcome: isWrong ? 'invalid' : outcomeOfStatus(status),
    status,
    scheme,
    detail: isWrong
      ? `a web page instead of a manifest from ${shortHost(response.url)}`
      : describeStatus(response, now),
    response,
  }
}

function outcomeOfStatus(status: number): ProbeOutcome {
  if (status === 200) return 'found'
  if (status === 404) return 'absent'
  if (status === 401) return 'refused'
  if (status === 403) return 'no-right'
  if (status === 429) return 'limited'
  return status >= 500 ? 'unreachable' : 'invalid'
}

/** What the transport and the token source call it, in the words of this file. */
function outcomeOf(outcome: string, detail: string): Pick<ProbeResult, 'outcome' | 'detail'> {
  const known = ['refused', 'limited', 'unreachable', 'timeout'] as const
  return { outcome: known.find((each) => each === outcome) ?? 'invalid', detail }
}

function parsed(response: HttpResponse | null): Readonly<Record<string, unknown>> {
  try {
    const document: unknown = JSON.parse(response?.body?.toString('utf8') ?? '')
    return typeof document === 'object' && document !== null ? { ...document } : {}
  } catch {
    return {}
  }
}
