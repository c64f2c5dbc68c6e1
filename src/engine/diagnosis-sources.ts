/** Creates what a diagnosis asks outside the API server: a prober of registries, and a check of the fallback table. */
import { createByteBudget } from '../async/byte-budget.ts'
import type { Config } from '../config/config.ts'
import type { DiagnosisSources } from '../diagnose/evidence/diagnose-cluster.ts'
import { createFallbackCheck } from '../diagnose/evidence/fallback-evidence.ts'
import { createProber } from '../diagnose/evidence/registry-prober.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { proxyRulesFromEnvironment } from '../proxy/proxy-rules.ts'
import { bodyBudgetBytes } from '../registry/http/response-body.ts'
import { createClientCertificate } from './client-certificate.ts'
import { createHelperRunner } from './credential-helper.ts'
import { createEngine, createTokenCache } from './decision-engine.ts'
import { createKeychain } from './keychain.ts'

export interface DiagnosisSourcesOptions {
  /** Null if there is no config: the table is not used then. */
  readonly config: Config | null
  /** False to contact no registry. */
  readonly probe: boolean
  readonly secretsDirectory: string
  /** Has the variables of proxies and of AWS. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Receives a message about each credential that cannot be used. */
  readonly onProblem: (message: string) => void
}

export interface OpenDiagnosisSources {
  readonly sources: DiagnosisSources
  close(): Promise<void>
}

/** Milliseconds for one request to a registry; a person waits longer than an API server does. */
const queryTimeoutMs = 5_000

/** Each question is asked once, so the sources are for one diagnosis of a cluster. */
export function openDiagnosisSources(
  api: KubeApi,
  { config, probe, secretsDirectory, env, onProblem }: DiagnosisSourcesOptions,
): OpenDiagnosisSources {
  const bodyBudget = createByteBudget(bodyBudgetBytes.command)
  const files = { secretsDirectory, runHelper: createHelperRunner(env), onProblem }
  const engineOptions = { ...files, env, queryTimeoutMs, bodyBudget }
  const engine = config !== null && probe ? createEngine(config, engineOptions) : null
  const ecrTokens = createTokenCache(engineOptions)
  const prober = probe
    ? createProber({
        config,
        keychainFor: ({ credentials }) => createKeychain(credentials, { ...files, ecrTokens }),
        now: Date.now,
        bodyBudget,
        clientCertificateFor: ({ clientCertificate }) =>
          createClientCertificate(clientCertificate, { secretsDirectory, onProblem }),
        proxyRules: proxyRulesFromEnvironment(env),
      })
    : null
  const fallback =
    config === null ? null : createFallbackCheck({ api, config, resolve: engine?.resolve ?? null })
  return {
    sources: { prober, fallback },
    close: async () => void (await Promise.all([prober?.close(), engine?.close()])),
  }
}
