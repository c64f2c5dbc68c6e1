/** Wires the rooms that decide: configuration, registries, credentials, cache. */
import type { Config } from '../config/config.ts'
import { awsSdk } from '../aws/sdk.ts'
import { createEcrTokenCache, type EcrTokenCache } from '../aws/ecr-token-cache.ts'
import { createKeychain } from './keychain.ts'
import type { AdmissionPolicy } from '../decision/pod/decide-sites.ts'
import { createManifestSource } from '../registry/manifests/manifest-source.ts'
import { type CircuitBreakers, createCircuitBreakers } from '../decision/resolve/circuit-breaker.ts'
import type { ManifestSource } from '../decision/resolve/manifest-source.ts'
import { createDecide, type Decide } from '../decision/resolve/decision-cache.ts'
import { createManifestCache } from '../decision/resolve/manifest-cache.ts'
import type { ResolveDependencies } from '../decision/resolve/probe-candidate.ts'

export interface Engine {
  readonly policy: AdmissionPolicy
  readonly resolve: ResolveDependencies
  readonly decide: Decide
  readonly circuits: CircuitBreakers
  close(): Promise<void>
}

export { defaultSecretsDirectory } from './secrets-directory.ts'

export interface EngineOptions {
  readonly secretsDirectory: string
  /** Milliseconds for one question to a registry; what a webhook has when left out. */
  readonly queryTimeoutMs?: number
  /** Told of credentials that cannot be used. */
  readonly onProblem?: (message: string) => void
  /** Told how long each question to a registry took, in seconds. */
  readonly onAnswered?: (host: string, seconds: number) => void
  /** Where AWS's own variables are looked for, which pods of service accounts with a role have. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Tokens of ECR that outlive this engine; an engine of its own has its own. */
  readonly ecrTokens?: EcrTokenCache
}

/** The store of ECR's tokens for a process: it outlives engines, so that a reloaded config fetches nothing again. */
export function createTokenStore(options: EngineOptions): EcrTokenCache {
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

/** Makes an engine for one configuration; the next configuration gets one of its own. */
export function createEngine(config: Config, options: EngineOptions): Engine {
  const { secretsDirectory, queryTimeoutMs, onProblem, onAnswered } = options
  const now = () => performance.now()
  const circuits = createCircuitBreakers(now)
  const ecrTokens = options.ecrTokens ?? createTokenStore(options)
  const source = createManifestSource({
    registries: config.registries,
    keychainFor: (settings) =>
      createKeychain(settings.credentials, {
        secretsDirectory,
        ecrTokens,
        ...(onProblem === undefined ? {} : { onProblem }),
      }),
    // Dates and expiries come from outside, and are by the wall clock.
    now: () => Date.now(),
  })
  const measured = onAnswered === undefined ? source : measure(source, onAnswered)
  const resolve: ResolveDependencies = {
    queryManifest: createManifestCache(circuits.guard(measured), {
      now,
      ...(queryTimeoutMs === undefined ? {} : { queryTimeoutMs }),
    }),
    isListed: (host) => source.isListed(host),
    isProbed: (host) => source.isProbed(host),
    now,
  }
  return {
    policy: config,
    resolve,
    decide: createDecide(resolve, config),
    circuits,
    close: () => source.close(),
  }
}

/** The same source, with each question timed. Inside the circuits, so that a question that was not asked takes no time. */
function measure(
  source: ManifestSource,
  onAnswered: (host: string, seconds: number) => void,
): ManifestSource {
  return {
    isListed: (host) => source.isListed(host),
    isProbed: (host) => source.isProbed(host),
    prepare: async (question) => {
      const prepared = await source.prepare(question)
      const send: typeof prepared.send = async (signal) => {
        const started = performance.now()
        try {
          return await prepared.send(signal)
        } finally {
          onAnswered(question.host, (performance.now() - started) / 1000)
        }
      }
      return { credentialIdentity: prepared.credentialIdentity, send }
    },
  }
}
