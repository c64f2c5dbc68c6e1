/** Opens what the console needs for one config: the registries, and the functions that decide. */
import { createByteBudget } from '../../async/byte-budget.ts'
import type { EcrTokenCache } from '../../aws/ecr-token-cache.ts'
import type { Config } from '../../config/config.ts'
import { imageTimeoutMs, parallelImages } from '../../engine/batch-limits.ts'
import { createHelperRunner } from '../../engine/credential-helper.ts'
import { createEngine } from '../../engine/decision-engine.ts'
import { openDiagnosisSources } from '../../engine/diagnosis-sources.ts'
import { openMirrorRegistries } from '../../engine/mirror-registries.ts'
import type { ExplainDependencies } from '../../explain/explain-image.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { proxyRulesFromEnvironment } from '../../proxy/proxy-rules.ts'
import { bodyBudgetBytes } from '../../registry/http/response-body.ts'
import type { ConfigInUse } from '../live-parts.ts'
import { type CompareMirrors, createMirrorComparison } from '../mirror-comparison.ts'

export interface SessionOptions {
  readonly api: KubeApi
  /** False to contact no registry. */
  readonly probe: boolean
  /** True to contact registries only for the images that pods run, and not on request. */
  readonly isShared: boolean
  readonly secretsDirectory: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Null if the console fetches its own tokens. */
  readonly ecrTokens: EcrTokenCache | null
  readonly onProblem: (message: string) => void
}

export interface Session {
  readonly inUse: ConfigInUse
  readonly explain: ExplainDependencies
  /** Null if no registry is contacted on request. */
  readonly compareMirrors: CompareMirrors | null
  close(): Promise<void>
}

/** Opens a session, which the caller has to close. */
export async function openSession(config: Config, options: SessionOptions): Promise<Session> {
  const { api, probe, isShared, secretsDirectory, env, ecrTokens, onProblem } = options
  const stop = new AbortController()
  const engine = createEngine(config, {
    secretsDirectory,
    queryTimeoutMs: imageTimeoutMs / 2,
    env,
    // Only the machine of a person has a docker login and its helpers, and memory for the console alone.
    ...(isShared
      ? { bodyBudget: createByteBudget(bodyBudgetBytes.webhook) }
      : { runHelper: createHelperRunner(env), ownLogin: true }),
    ...(ecrTokens === null ? {} : { ecrTokens }),
    onProblem,
  })
  const asks = probe && !isShared
  const mirrors = asks
    ? await openMirrorRegistries({
        config,
        names: [],
        secretsDirectory,
        createRepositories: false,
        env,
        onProblem,
      })
    : null
  const diagnosis = { config, probe, secretsDirectory, env, onProblem }
  return {
    inUse: {
      config,
      resolve: probe ? engine.resolve : null,
      openSources: asks ? () => openDiagnosisSources(api, diagnosis) : null,
    },
    explain: {
      config,
      resolve: asks ? engine.resolve : null,
      timeoutMs: imageTimeoutMs,
      proxyRules: proxyRulesFromEnvironment(env),
      partNames: { namespace: 'a namespace', labels: 'labels', owners: 'an owner' },
    },
    compareMirrors:
      mirrors === null
        ? null
        : createMirrorComparison({
            config,
            registries: mirrors.registries,
            jobs: parallelImages,
            signal: stop.signal,
          }),
    close: async () => {
      stop.abort()
      await Promise.all([engine.close(), mirrors?.registries.close()])
    },
  }
}
