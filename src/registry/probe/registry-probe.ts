/**
 * Asks one registry what it answers to one credential, for `berth diagnose`. Unlike the registry client, it reports the outcome
 * for each credential separately, and does not retry.
 */
import type { ByteBudget } from '../../async/byte-budget.ts'
import type { Credential } from '../../credentials/keychain.ts'
import { parseChallenges, selectChallenge } from '../auth/challenge.ts'
import { plainHttpRefusal } from '../auth/plain-http.ts'
import { checkTokenServer } from '../auth/token-server-policy.ts'
import { basicAuthorization, createTokenSource, type TokenSource } from '../auth/token-source.ts'
import { type ProxyRules, proxyRulesOf } from '../../proxy/proxy-rules.ts'
import type { LoadClientCertificate } from '../http/connector.ts'
import type { Network } from '../http/ip-ranges.ts'
import type { RegistrySettings } from '../http/registry-settings.ts'
import { describeStatus } from '../http/status.ts'
import type { HttpResponse, SendResult } from '../http/messages.ts'
import { createTransport, type Transport } from '../http/transport.ts'
import { apiUrl, displayHost, originsOf } from '../http/urls.ts'
import { acceptHeader } from '../manifests/manifest-headers.ts'
import { maxManifestBytes, parseManifestOrEmpty } from '../manifests/manifest-json.ts'

export type ProbeOutcome =
  | 'found'
  /** 404, with a credential that the registry accepts. */
  | 'absent'
  /** The registry rejects the credential, or requires one. */
  | 'refused'
  /** The credential is valid but has no right to the image, or the image does not exist: the registry does not tell which. */
  | 'no-right'
  | 'limited'
  /** 5xx, or no connection. */
  | 'unreachable'
  | 'invalid'
  | 'timeout'
  /** Not asked, because the credential must not be sent. */
  | 'unasked'

export interface ProbeResult {
  readonly outcome: ProbeOutcome
  /** The status of the registry or its token server; null without a response. */
  readonly status: number | null
  /** The authentication scheme that the registry requires. */
  readonly scheme: 'basic' | 'bearer' | null
  /** True if the registry says that the token of the credential has expired. */
  readonly isExpired?: boolean
  /** For messages. Contains no text from the registry except its error code. */
  readonly detail: string
}

export interface RegistryProbe {
  /** Sends HEAD for a manifest, by tag or digest, and GET if HEAD is not conclusive. */
  manifest(
    repository: string,
    reference: string,
    credential: Credential | null,
  ): Promise<ProbeResult>
  /** Lists the first page of tags. `absent` if the repository does not exist; null if the registry does not list them. */
  tags(
    repository: string,
    credential: Credential | null,
  ): Promise<readonly string[] | 'absent' | null>
  /** Returns the JSON of a manifest; null without one, or if the request would count as a pull. */
  document(repository: string, reference: string, credential: Credential | null): Promise<unknown>
  /** Returns whether the repository has a blob; null if the registry does not tell. */
  hasBlob(
    repository: string,
    digest: string,
    credential: Credential | null,
  ): Promise<boolean | null>
  /** Returns the pull limit of Docker Hub for the credential; null if there is none. */
  quota(
    credential: Credential | null,
  ): Promise<{ readonly limit: string; readonly remaining: string } | null>
  close(): Promise<void>
}

export interface RegistryProbeOptions {
  readonly network: Network
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds for one answer, including redirects and tokens. */
  readonly answerMs: number
  /** The memory for the bodies of all registries. */
  readonly bodyBudget: ByteBudget
  /** The proxies of the environment. */
  readonly proxyRules: ProxyRules
  readonly clientCertificate: LoadClientCertificate | null
}

/** Docker Hub counts a GET of a manifest as a pull, but not a HEAD (docs.docker.com, "Docker Hub usage and limits"). */
const countingHost = 'docker.io'

/** The repository of Docker Hub from which a client reads its limit (the same page). */
const quotaRepository = 'ratelimitpreview/test'

/** More than 10,000 tags of 128 bytes. */
const maxTagListBytes = 2 * 1024 * 1024

/** The statuses of registries that route only GET; and 403, because only the body of a GET has the reason. */
const getOnlyStatuses: ReadonlySet<number> = new Set([403, 404, 405, 501])

/** Amazon ECR, "Troubleshooting": the answer to a token of more than 12 hours. */
const expiredText = /authorization token has expired/i

const maxRedirects = 10

interface ProbeRequest {
  readonly method: 'HEAD' | 'GET'
  readonly path: string
  readonly repository: string
  readonly credential: Credential | null
  readonly maxBodyBytes: number
}

interface Exchange extends ProbeResult {
  readonly response: HttpResponse | null
}

interface ProbeContext {
  readonly settings: RegistrySettings
  readonly transport: Transport
  readonly tokens: TokenSource
  readonly proxyFor: ProxyRules
  readonly now: () => number
  readonly answerMs: number
}

/** Opens no connection before the first request. */
export function createRegistryProbe(
  settings: RegistrySettings,
  { network, now, answerMs, bodyBudget, proxyRules, clientCertificate }: RegistryProbeOptions,
): RegistryProbe {
  const { host, endpoint, ca, authHosts } = settings
  const listed = new Set([host, ...authHosts].flatMap(originsOf))
  const proxyFor = proxyRulesOf(settings.proxy, proxyRules)
  const transport = createTransport({
    network,
    registryOrigin: endpoint.origin,
    isListed: (origin) => listed.has(origin),
    ca,
    bodyBudget,
    proxyFor,
    clientCertificate,
  })
  const tokens = createTokenSource({ transport, now })
  const context: ProbeContext = { settings, transport, tokens, proxyFor, now, answerMs }
  const head = (repository: string, path: string, credential: Credential | null) =>
    exchange(context, {
      method: 'HEAD',
      path: `${repository}/${path}`,
      repository,
      credential,
      maxBodyBytes: 0,
    })
  const get = (
    repository: string,
    path: string,
    options: Pick<ProbeRequest, 'credential' | 'maxBodyBytes'>,
  ) => exchange(context, { method: 'GET', path: `${repository}/${path}`, repository, ...options })

  return {
    async manifest(repository, reference, credential) {
      const path = `manifests/${reference}`
      const byHead = await head(repository, path, credential)
      const mayNotRouteHead = host !== countingHost && getOnlyStatuses.has(byHead.status ?? 0)
      const byGet = mayNotRouteHead
        ? await get(repository, path, { credential, maxBodyBytes: maxManifestBytes })
        : byHead
      const isConfirmed = byHead.status === 404 && byGet.outcome !== 'found'
      const { outcome, status, scheme, detail } = isConfirmed ? byHead : byGet
      const isExpired = expiredText.test(byGet.response?.body?.toString('utf8') ?? '')
      const text = isExpired ? `${detail}, the token has expired` : detail
      return { outcome, status, scheme, detail: text, ...(isExpired ? { isExpired } : {}) }
    },
    async tags(repository, credential) {
      const options = { credential, maxBodyBytes: maxTagListBytes }
      const { response } = await get(repository, 'tags/list', options)
      if (response?.status === 404) return 'absent'
      const { tags } = parseManifestOrEmpty(response?.body ?? null)
      return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : null
    },
    async document(repository, reference, credential) {
      if (host === countingHost) return null
      const options = { credential, maxBodyBytes: maxManifestBytes }
      const { response } = await get(repository, `manifests/${reference}`, options)
      return response?.status === 200 ? parseManifestOrEmpty(response.body) : null
    },
    async hasBlob(repository, digest, credential) {
      const { status } = await head(repository, `blobs/${digest}`, credential)
      return status === 200 ? true : status === 404 ? false : null
    },
    async quota(credential) {
      if (host !== countingHost) return null
      const { response } = await head(quotaRepository, 'manifests/latest', credential)
      const [limit] = response?.header('ratelimit-limit') ?? []
      const [remaining] = response?.header('ratelimit-remaining') ?? []
      const isValid = (value: string | undefined): value is string =>
        /^[0-9;w=]{1,40}$/.test(value ?? '')
      return isValid(limit) && isValid(remaining) ? { limit, remaining } : null
    },
    close: () => transport.close(),
  }
}

/** Sends a request, and once more with the credential if the registry requires it. */
async function exchange(
  { settings, transport, tokens, proxyFor, now, answerMs }: ProbeContext,
  { method, path, repository, credential, maxBodyBytes }: ProbeRequest,
): Promise<Exchange> {
  const { endpoint } = settings
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
  const refusalFor = (url: URL) =>
    credential === null ? null : plainHttpRefusal(url, { settings, proxyFor })
  const refusal = refusalFor(endpoint)
  if (refusal !== null) return unasked(refusal)
  const first = await send()
  if (!first.ok || first.response.status !== 401) return exchangeOf(first, null, now)
  const challenge = selectChallenge(parseChallenges(first.response.header('www-authenticate')))
  if (challenge === null) return exchangeOf(first, null, now)
  if (challenge.scheme === 'basic') {
    const { authorization } = basicAuthorization(credential)
    const sent = authorization === undefined ? first : await send(authorization)
    return exchangeOf(sent, 'basic', now)
  }
  const checked = checkTokenServer(challenge.parameters.get('realm'), settings)
  if (!checked.ok) return unasked(checked.detail)
  const { realm } = checked
  const realmRefusal = refusalFor(realm)
  if (realmRefusal !== null) return unasked(realmRefusal)
  const service = challenge.parameters.get('service')
  const scopes = [`repository:${repository}:pull`]
  const token = await tokens.get({ realm, service, scopes, credential, signal })
  if (!token.ok) {
    const { outcome, detail } = token.failure
    const ofToken = probeOutcome(outcome === 'denied' ? 'refused' : outcome)
    return { outcome: ofToken, detail, scheme: 'bearer', response: null, status: null }
  }
  const result = exchangeOf(await send(`Bearer ${token.token}`), 'bearer', now)
  return result.status === 401 ? { ...result, outcome: 'no-right' } : result
}

function unasked(detail: string): Exchange {
  return { outcome: 'unasked', status: null, scheme: null, detail, response: null }
}

function exchangeOf(sent: SendResult, scheme: ProbeResult['scheme'], now: () => number): Exchange {
  if (!sent.ok) {
    const { outcome, detail } = sent.failure
    return { outcome: probeOutcome(outcome), detail, scheme, status: null, response: null }
  }
  const { response } = sent
  const { status } = response
  const isHtml = response.header('content-type').some((type) => type.startsWith('text/html'))
  const isWebPage = status === 200 && isHtml
  return {
    outcome: isWebPage ? 'invalid' : outcomeOfStatus(status),
    status,
    scheme,
    detail: isWebPage
      ? `a web page instead of a manifest from ${displayHost(response.url)}`
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

/** Converts an outcome of the transport or the token source. */
function probeOutcome(outcome: string): ProbeOutcome {
  const shared = ['refused', 'limited', 'unreachable', 'timeout'] as const
  return shared.find((each) => each === outcome) ?? 'invalid'
}
