/** Detects the endpoint of a registry, its product, and whether it requires a login. Sends no credentials. */
import { getCACertificates } from 'node:tls'
import { createByteBudget } from '../async/byte-budget.ts'
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import type { Reference } from '../decision/reference/reference.ts'
import type { ProxyRules } from '../proxy/proxy-rules.ts'
import { parseChallenges, selectChallenge } from '../registry/auth/challenge.ts'
import type { Network } from '../registry/http/ip-ranges.ts'
import { defaultEndpoint, registryDefaults } from '../registry/http/registry-settings.ts'
import { bodyBudgetBytes } from '../registry/http/response-body.ts'
import type { HttpResponse } from '../registry/http/messages.ts'
import { createTransport, type Transport } from '../registry/http/transport.ts'
import { apiUrl } from '../registry/http/urls.ts'
import {
  type CertificateProblem,
  type EndpointFault,
  probeEndpoint,
} from '../registry/probe/endpoint-probe.ts'
import { createRegistryProbe } from '../registry/probe/registry-probe.ts'
import {
  isHarborInfo,
  isRegistryAnswer,
  kindOfAnswer,
  kindOfHost,
  type MirrorKind,
} from './mirror-kind.ts'

export interface ProbeDependencies {
  readonly network: Network
  readonly proxyRules: ProxyRules
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds for each request. */
  readonly answerMs: number
}

export interface RegistryFacts {
  /** The URL that answered; the first one that was tried if none did. */
  readonly endpoint: URL
  readonly kind: MirrorKind
  /** True if the registry refuses anonymous requests. It may still allow anonymous pulls. */
  readonly needsLogin: boolean
  /** What is wrong with its certificate, with the CAs of this machine and the given one. */
  readonly certificate: readonly CertificateProblem[]
  /** The proxy that was used; null for a direct connection. */
  readonly proxy: string | null
  /** Why it cannot be used; null if it answered as a registry. */
  readonly problem: string | null
}

interface RegistryAddress {
  readonly host: string
  /** Null to try https at the host, and then http. */
  readonly endpoint: URL | null
  /** PEM; null for the public CAs. */
  readonly ca: string | null
}

/** Harbor's answer has less than a kilobyte. */
const maxInfoBytes = 64 * 1024

/** Never rejects: what goes wrong is the `problem` of the result. */
export async function probeRegistry(
  { host, endpoint, ca }: RegistryAddress,
  dependencies: ProbeDependencies,
): Promise<RegistryFacts> {
  const first = endpoint ?? new URL(defaultEndpoint(host))
  const facts = await probeAt(host, first, ca, dependencies)
  if (endpoint !== null || !facts.mayBePlainHttp) return facts
  const plain = await probeAt(host, new URL(`http://${host}`), ca, dependencies)
  return plain.hasConnected ? plain : facts
}

interface EndpointFacts extends RegistryFacts {
  readonly hasConnected: boolean
  readonly mayBePlainHttp: boolean
}

async function probeAt(
  host: string,
  endpoint: URL,
  ca: string | null,
  dependencies: ProbeDependencies,
): Promise<EndpointFacts> {
  const { proxyRules: proxyFor, network } = dependencies
  const probed = await probeEndpoint(endpoint, {
    ...dependencies,
    proxyFor,
    hasClientCertificate: false,
    proxyCas: ca === null ? null : [...getCACertificates('default'), ca],
  })
  const { fault, proxy, proxyError } = probed
  const isPrivate = probed.addresses.some((each) => network.ipRangeOf(each) !== 'public')
  const facts = {
    endpoint,
    kind: kindOfHost(host) ?? 'other',
    needsLogin: false,
    certificate: ca === null ? (probed.certificate?.problems ?? []) : [],
    proxy,
    hasConnected: fault === null,
    // Anyone on the way to a registry on the internet can refuse or break TLS, so it must not fall back to plain HTTP.
    mayBePlainHttp: isPrivate && (fault === 'not-tls' || fault === 'refused'),
  }
  if (fault !== null) return { ...facts, problem: proxyError ?? faultTexts[fault] }
  if (facts.certificate.length > 0)
    return { ...facts, problem: `its certificate is not trusted (${facts.certificate.join(', ')})` }
  const transport = createTransport({
    network,
    registryOrigin: endpoint.origin,
    isListed: (origin) => origin === endpoint.origin,
    ca,
    bodyBudget: createByteBudget(bodyBudgetBytes.command),
    proxyFor,
    clientCertificate: null,
  })
  try {
    return { ...facts, ...(await askVersion(transport, facts, dependencies)) }
  } finally {
    await transport.close()
  }
}

/** Asks `GET /v2/`, and Harbor's own API if the answer does not tell the product. */
async function askVersion(
  transport: Transport,
  { endpoint, kind }: Pick<RegistryFacts, 'endpoint' | 'kind'>,
  { answerMs }: ProbeDependencies,
): Promise<Pick<RegistryFacts, 'kind' | 'needsLogin' | 'problem'>> {
  const get = (url: URL) =>
    transport.send({
      method: 'GET',
      url,
      headers: { accept: 'application/json' },
      maxBodyBytes: maxInfoBytes,
      maxRedirects: 3,
      signal: AbortSignal.timeout(answerMs),
    })
  const sent = await get(apiUrl(endpoint, ''))
  if (!sent.ok) return { kind, needsLogin: false, problem: sent.failure.detail }
  const { response } = sent
  const challenge = selectChallenge(parseChallenges(response.header('www-authenticate')))
  const answer = {
    status: response.status,
    header: response.header,
    challenge: challenge?.parameters ?? new Map<string, string>(),
  }
  if (!isRegistryAnswer(answer))
    return { kind, needsLogin: false, problem: `it is not a registry (status ${response.status})` }
  const known = kind === 'other' ? kindOfAnswer(answer) : kind
  const info = known === null ? await get(new URL('/api/v2.0/systeminfo', endpoint)) : null
  const isHarbor = info?.ok === true && isHarborInfo(jsonOf(info.response))
  return {
    kind: known ?? (isHarbor ? 'harbor' : 'docker-registry'),
    needsLogin: response.status === 401 || response.status === 403,
    problem: null,
  }
}

function jsonOf({ body, status }: HttpResponse): unknown {
  if (status !== 200 || body === null) return null
  try {
    return JSON.parse(body.toString('utf8')) as unknown
  } catch {
    return null
  }
}

/** Returns what keeps an image from being pulled anonymously; null if nothing does, or if it is not known. */
export async function probeImage(
  image: Reference,
  endpoint: URL,
  dependencies: ProbeDependencies,
): Promise<string | null> {
  const { domain, path, tag, digest } = canonicalReference(image)
  const probe = createRegistryProbe(registryDefaults(domain, endpoint), {
    ...dependencies,
    bodyBudget: createByteBudget(bodyBudgetBytes.command),
    clientCertificate: null,
  })
  try {
    const { outcome, detail } = await probe.manifest(path, digest ?? tag ?? 'latest', null)
    if (outcome === 'refused' || outcome === 'no-right')
      return `${path} is private or does not exist; for private images see docs/pull-secrets.md`
    return outcome === 'found' || outcome === 'unasked' ? null : `${path}: ${outcome} (${detail})`
  } finally {
    await probe.close()
  }
}

const faultTexts: Readonly<Record<EndpointFault, string>> = {
  dns: 'its name has no address',
  'off-limits': 'Berth does not connect to its address (loopback, link-local or reserved)',
  refused: 'it refuses the connection',
  timeout: 'it does not answer',
  unroutable: 'there is no route to it',
  cut: 'it closes the connection',
  'not-tls': 'it does not use TLS',
  'client-certificate': 'it requires a client certificate',
  proxy: 'the proxy does not connect to it',
  other: 'the connection fails',
}
