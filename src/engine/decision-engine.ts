/** Builds the functions that decide from a config: registries, credentials, circuit breakers and caches. */
import { type ByteBudget, createByteBudget } from '../async/byte-budget.ts'
import type { Config } from '../config/config.ts'
import { awsSdk } from '../aws/sdk.ts'
import { createEcrTokenCache, type EcrTokenCache } from '../aws/ecr-token-cache.ts'
import { createClientCertificate } from './client-certificate.ts'
import type { RunCredentialHelper } from './credential-helper.ts'
import { createKeychain } from './keychain.ts'
import { createLoginChoice, type LoginChoice } from './own-login.ts'
import type { Keychain } from '../credentials/keychain.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import type { AdmissionPolicy } from '../decision/pod/decide-sites.ts'
import { proxyRulesFromEnvironment } from '../proxy/proxy-rules.ts'
import { bodyBudgetBytes } from '../registry/http/response-body.ts'
import { createManifestSource } from '../registry/manifests/manifest-source.ts'
import { type CircuitBreakers, createCircuitBreakers } from '../decision/resolve/circuit-breaker.ts'
import type { ManifestSource } from '../decision/resolve/manifest-source.ts'
import { createDecideByRow, type DecideByRow } from '../decision/resolve/decide-by-row.ts'
import { createDecide, type Decide } from '../decision/resolve/decision-cache.ts'
import { createManifestCache } from '../decision/resolve/manifest-cache.ts'
import { createPlatformLookup } from '../decision/resolve/platform-lookup.ts'
import { createRegistryLiveness } from '../decision/resolve/registry-liveness.ts'
import type { ResolveDependencies } from '../decision/resolve/probe-candidate.ts'
import { hasDenial, type ResolvePolicy } from '../decision/resolve/resolve-policy.ts'

export interface Engine {
  readonly policy: AdmissionPolicy & Pick<ResolvePolicy, 'pin'>
  /** True if the config denies some pods. */
  readonly hasDenial: boolean
  readonly resolve: ResolveDependencies
  readonly decide: Decide
  readonly decideByRow: DecideByRow
  readonly circuits: CircuitBreakers
  readonly close: () => Promise<void>
}

export interface EngineOptions {
  readonly secretsDirectory: string
  /** Milliseconds for one query to a registry; by default the time that the webhook has. */
  readonly queryTimeoutMs?: number
  /** Receives a message about each credential that cannot be used. */
  readonly onProblem?: (message: string) => void
  /** Receives how long each query to a registry took, in seconds. */
  readonly onAnswered?: (host: string, seconds: number) => void
  /** Has the variables of proxies, and those of AWS, which EKS sets in pods whose service account has a role. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Runs credential helpers, for a command. */
  readonly runHelper?: RunCredentialHelper
  /** True for a command of a person: a registry whose pull secret is not mounted here gets their docker login. */
  readonly ownLogin?: boolean
  /** A cache that outlives this engine; without it the engine creates one. */
  readonly ecrTokens?: EcrTokenCache
  /** The memory for the bodies of responses, if it outlives this engine; default: that of a command. */
  readonly bodyBudget?: ByteBudget
}

/** Creates the cache of ECR tokens of a process. It outlives engines, so that a reload of the config fetches no token again. */
export function createTokenCache(options: EngineOptions): EcrTokenCache {
  const { secretsDirectory, onProblem, env = {} } = options
  return createEcrTokenCache({
    aws: awsSdk,
    secretsDirectory,
    env,
    now: () => Date.now(),
    random: () => Math.random(),
    onFailure: ({ message }) => onProblem?.(message),
  })
}

/** Creates the engine for one config. A reloaded config gets a new engine. */
export function createEngine(config: Config, options: EngineOptions): Engine {
  const { secretsDirectory, queryTimeoutMs, onProblem, onAnswered } = options
  const now = () => performance.now()
  const circuits = createCircuitBreakers(now)
  const ecrTokens = options.ecrTokens ?? createTokenCache(options)
  const source = createManifestSource({
    registries: config.registries,
    keychainFor: createKeychains(options, ecrTokens),
    // Registries send dates and expiry times, so this is the wall clock.
    now: () => Date.now(),
    clientCertificateFor: ({ clientCertificate }) =>
      createClientCertificate(clientCertificate, {
        secretsDirectory,
        ...(onProblem === undefined ? {} : { onProblem }),
      }),
    proxyRules: proxyRulesFromEnvironment(options.env ?? {}),
    bodyBudget: options.bodyBudget ?? createByteBudget(bodyBudgetBytes.command),
  })
  const measured = onAnswered === undefined ? source : measure(source, onAnswered)
  const liveness = createRegistryLiveness({
    now,
    isMirror: (host) => config.table.mirrors.has(host),
  })
  const queryManifest = createManifestCache(circuits.guard(liveness.observe(measured)), {
    now,
    isLive: liveness.isLive,
    ...(queryTimeoutMs === undefined ? {} : { queryTimeoutMs }),
  })
  const resolve: ResolveDependencies = {
    queryManifest,
    platforms: {
      check: createPlatformLookup(source, queryManifest),
      wantedOf: (host) => config.registries.get(host)?.platforms ?? [],
    },
    liveness,
    isListed: (host) => source.isListed(host),
    isProbed: (host) => source.isProbed(host),
    now,
  }
  return {
    policy: config,
    hasDenial: hasDenial(config),
    resolve,
    decide: createDecide(resolve, config),
    decideByRow: createDecideByRow(resolve, config),
    circuits,
    close: () => source.close(),
  }
}

/** Returns a function that creates the keychain of a registry. */
function createKeychains(
  { secretsDirectory, onProblem, runHelper, ownLogin = false, env = {} }: EngineOptions,
  ecrTokens: EcrTokenCache,
): (settings: RegistrySettings) => Keychain {
  const choose = ownLogin
    ? createLoginChoice({ secretsDirectory, env, onUsed: (message) => onProblem?.(message) })
    : ({ credentials }: RegistrySettings): LoginChoice => ({ credentials })
  return (settings) => {
    const { credentials, onLookup } = choose(settings)
    const keychain = createKeychain(credentials, {
      secretsDirectory,
      ecrTokens,
      ownLogin,
      ...(runHelper === undefined ? {} : { runHelper }),
      ...(onProblem === undefined ? {} : { onProblem }),
    })
    if (onLookup === undefined) return keychain
    return {
      lookup: (host, repository) => {
        onLookup()
        return keychain.lookup(host, repository)
      },
    }
  }
}

/** Times each query. This is inside the circuit breakers, so that a query that they stop is not counted. */
function measure(
  source: ManifestSource,
  onAnswered: (host: string, seconds: number) => void,
): ManifestSource {
  return {
    isListed: (host) => source.isListed(host),
    isProbed: (host) => source.isProbed(host),
    prepare: async (query) => {
      const prepared = await source.prepare(query)
      const send: typeof prepared.send = async (signal) => {
        const started = performance.now()
        try {
          return await prepared.send(signal)
        } finally {
          onAnswered(query.host, (performance.now() - started) / 1000)
        }
      }
      return { credentialIdentity: prepared.credentialIdentity, send }
    },
  }
}
