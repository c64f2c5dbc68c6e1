/** Probes the registries of failing images from this machine. Each question is asked once, however many pods need it. */
import { getCACertificates } from 'node:tls'
import pLimit from 'p-limit'
import { type ByteBudget, createByteBudget } from '../../async/byte-budget.ts'
import type { Config } from '../../config/config.ts'
import { registryDefaults } from '../../registry/http/registry-settings.ts'
import { credentialIdentity } from '../../credentials/credential-identity.ts'
import type { Credential, Keychain } from '../../credentials/keychain.ts'
import { BerthError } from '../../errors.ts'
import { apiHost, hubHost } from '../../decision/fallback/registry-aliases.ts'
import { defaultTag, type Reference } from '../../decision/reference/reference.ts'
import { noProxyRules, type ProxyRules, proxyRulesOf } from '../../proxy/proxy-rules.ts'
import type { LoadClientCertificate } from '../../registry/http/connector.ts'
import { type Network, systemNetwork } from '../../registry/http/ip-ranges.ts'
import { refuseLocalAddresses } from '../../registry/http/local-addresses.ts'
import { bodyBudgetBytes } from '../../registry/http/response-body.ts'
import { type EndpointProbeResult, probeEndpoint } from '../../registry/probe/endpoint-probe.ts'
import {
  createRegistryProbe,
  type RegistryProbe,
  type RegistryProbeOptions,
} from '../../registry/probe/registry-probe.ts'
import type { RegistrySettings } from '../../registry/http/registry-settings.ts'
import type { RuleData } from '../rules/rule.ts'
import { emptyContent, probeContent } from './image-content.ts'
import type { ProbeAttempt, ProbeReport } from './probe-report.ts'

export interface ProbeCredential extends Credential {
  readonly by: 'pod' | 'other'
  /** The secret of the pod that it comes from. */
  readonly secret: string | null
}

export interface Prober {
  /** Probes what a rule needs. Null when no registry can tell anything about the rule, or the registry must not be probed. */
  probe(
    reference: Reference,
    rule: Pick<RuleData, 'probes'>,
    credentials: readonly ProbeCredential[],
  ): Promise<ProbeReport | null>
  close(): Promise<void>
}

export interface ProberDependencies {
  /** Endpoints, CAs and credentials of Berth's own config; null when there is none. */
  readonly config: Pick<Config, 'registries'> | null
  readonly keychainFor: (settings: RegistrySettings) => Keychain
  /** Default: no client certificates. */
  readonly clientCertificateFor?: (settings: RegistrySettings) => LoadClientCertificate | null
  /** The proxies of the environment. Default: none. */
  readonly proxyRules?: ProxyRules
  readonly network?: Network
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds for one answer. */
  readonly answerMs?: number
  /** The memory for the bodies of responses; default: that of a command. */
  readonly bodyBudget?: ByteBudget
}

/** Registries probed at once: enough to hide their latency, few enough not to look like an attack on one. */
const maxParallel = 8

/** A person waits; containerd would wait 30 s to connect, and without limit for an answer. */
const defaultAnswerMs = 5_000

interface ProbedRegistry {
  readonly settings: RegistrySettings
  readonly endpoint: EndpointProbeResult
  readonly probe: RegistryProbe
}

/** An identity to ask with: anonymous, a credential, or the reason why a credential is not available. */
interface ProbeIdentity {
  readonly by: ProbeAttempt['by']
  readonly source: string
  readonly secret: string | null
  readonly credential: Credential | null
}

/**
 * Opens no connection before the first probe. A host that the config does not list is probed at its own name, and never
 * at an address of this machine.
 */
export function createProber({
  bodyBudget = createByteBudget(bodyBudgetBytes.command),
  ...rest
}: ProberDependencies): Prober {
  const dependencies = { ...rest, bodyBudget }
  const limit = pLimit(maxParallel)
  const registries = new Map<string, Promise<ProbedRegistry | null>>()
  const answers = new Map<string, Promise<unknown>>()

  const askOnce = <T>(question: readonly unknown[], ask: () => Promise<T>): Promise<T> => {
    const key = JSON.stringify(question)
    const answer = (answers.get(key) as Promise<T> | undefined) ?? limit(ask)
    answers.set(key, answer)
    return answer
  }

  const registryFor = (host: string) => {
    const registry = registries.get(host) ?? limit(() => openRegistry(host, dependencies))
    registries.set(host, registry)
    return registry
  }

  return {
    async probe(reference, { probes: subjects }, credentials) {
      const host = hubHost(reference.domain)
      if (subjects === undefined || host === '') return null
      const registry = await registryFor(host)
      if (registry === null) return null
      const { settings, endpoint, probe } = registry
      const { path } = reference
      const report: ProbeReport = {
        ...emptyContent,
        ...endpoint,
        endpoint: settings.endpoint.origin,
        repository: path,
        attempts: [],
      }
      if (endpoint.fault !== null) return report
      const name = reference.digest ?? reference.tag ?? defaultTag
      const identities = [
        anonymous,
        ...credentials.map(identityFor),
        ...(await identitiesOfBerth(dependencies.keychainFor(settings), host, path)),
      ]
      const attempts = await Promise.all(
        identities.map(async (identity): Promise<ProbeAttempt> => {
          const { by, source, secret, credential } = identity
          if (credential === null && by !== 'anonymous') return notAttempted(source)
          const question = ['manifest', host, path, name, keyOf(credential)]
          const result = await askOnce(question, () => probe.manifest(path, name, credential))
          return { by, source, secret, ...result }
        }),
      )
      const isFound = attempts.some(({ outcome }) => outcome === 'found')
      const letIn = attempts.findIndex(({ outcome }) => outcome === (isFound ? 'found' : 'absent'))
      const credential = identities[letIn]?.credential ?? null
      const question = ['content', host, path, name, subjects, keyOf(credential)]
      const request = { subjects, path, name, credential, isLetIn: letIn !== -1, isFound }
      const content = await askOnce(question, () => probeContent(probe, request))
      return { ...report, attempts, ...content }
    },
    async close() {
      const closeOne = async (opening: Promise<ProbedRegistry | null>) => {
        const registry = await opening
        await registry?.probe.close()
      }
      await Promise.all(Array.from(registries.values(), closeOne))
    },
  }
}

/** Probes the endpoint of a host. A host that the config does not list is tried over plain HTTP if it does not speak TLS. */
async function openRegistry(
  host: string,
  {
    config,
    clientCertificateFor = () => null,
    proxyRules = noProxyRules,
    network = systemNetwork,
    now,
    answerMs = defaultAnswerMs,
    bodyBudget,
  }: ProberDependencies & Pick<RegistryProbeOptions, 'bodyBudget'>,
): Promise<ProbedRegistry | null> {
  const listed = config?.registries.get(host)
  if (listed?.probe === false) return null
  const settings = listed ?? settingsFor(host, 'https:')
  if (settings === null) return null
  const allowed = listed === undefined ? refuseLocalAddresses(network) : network
  const clientCertificate = clientCertificateFor(settings)
  const options = { network: allowed, now, answerMs, bodyBudget, proxyRules, clientCertificate }
  const endpoint = await probeEndpoint(settings.endpoint, {
    network: allowed,
    now,
    answerMs,
    hasClientCertificate: clientCertificate !== null,
    proxyFor: proxyRulesOf(settings.proxy, proxyRules),
    proxyCas: settings.ca === null ? null : [...getCACertificates('default'), settings.ca],
  })
  const plainHttp =
    listed === undefined && endpoint.fault === 'not-tls' ? settingsFor(host, 'http:') : null
  return plainHttp === null
    ? { settings, endpoint, probe: createRegistryProbe(settings, options) }
    : {
        settings: plainHttp,
        endpoint: { ...endpoint, fault: null },
        probe: createRegistryProbe(plainHttp, options),
      }
}

const anonymous: ProbeIdentity = {
  by: 'anonymous',
  source: 'anonymous',
  secret: null,
  credential: null,
}

function identityFor(credential: ProbeCredential): ProbeIdentity {
  const { by, source, secret } = credential
  return { by, source, secret, credential }
}

/** Berth's own credentials can see what the pod's cannot, which tells a private image from a missing one. */
async function identitiesOfBerth(
  keychain: Keychain,
  host: string,
  path: string,
): Promise<ProbeIdentity[]> {
  try {
    const credentials = await keychain.lookup(host, path)
    return credentials.map((credential) => ({
      by: 'other',
      source: `Berth's own, ${credential.source}`,
      secret: null,
      credential,
    }))
  } catch (error) {
    // The message names the file, or the link in a chain of roles, and contains no secret.
    if (error instanceof BerthError)
      return [
        { by: 'other', source: `Berth's own: ${error.message}`, secret: null, credential: null },
      ]
    throw error
  }
}

function notAttempted(source: string): ProbeAttempt {
  return {
    by: 'other',
    source,
    secret: null,
    outcome: 'unasked',
    status: null,
    scheme: null,
    detail: 'no credential is available',
  }
}

/** A registry at its own name. Null for a host that is not a valid URL host. */
function settingsFor(host: string, protocol: 'https:' | 'http:'): RegistrySettings | null {
  const url = `${protocol}//${apiHost(host)}`
  return URL.canParse(url) ? registryDefaults(host, new URL(url)) : null
}

function keyOf(credential: Credential | null): string {
  return credentialIdentity(credential === null ? [] : [credential])
}
