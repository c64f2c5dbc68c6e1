/** The controller loop that refreshes pull secrets with ECR tokens, and reports to the log, the metrics and Events. */
import type { KubeApi } from '../kube/api-client.ts'
import { recordWarning } from '../kube/event-recorder.ts'
import type { EcrMetrics } from '../telemetry/ecr-metrics.ts'
import type { Logger } from '../telemetry/log.ts'
import {
  type EcrTokensDependencies,
  type EcrTokensOptions,
  runEcrTokens,
  type TokenReport,
  type TokenSecretConfig,
} from '../pull-secrets/ecr/token-secret-writer.ts'
import type { Loop } from './runtime/loops.ts'

export interface EcrLoopDependencies extends EcrTokensDependencies {
  readonly api: Pick<KubeApi, 'get' | 'create' | 'replace'>
  readonly metrics: EcrMetrics
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
}

/** The API server deletes an Event after an hour (kube-apiserver, --event-ttl). */
const eventTtlMs = 3_600_000

/** Reports each problem once, and again when its message changes or its Event has expired. */
export function createEcrTokensLoop(
  dependencies: EcrLoopDependencies,
  secrets: readonly TokenSecretConfig[],
  options: Pick<EcrTokensOptions, 'waitUntil'> = {},
): Loop {
  const { api, namespace, log, metrics, now } = dependencies
  const reported = new Map<string, { readonly message: string; readonly at: number }>()

  const reportProblem = (report: TokenReport) => {
    const { secret, problem } = report
    if (problem === null) {
      if (reported.delete(secret)) log.info({ secret }, 'ECR token available again')
      return
    }
    const last = reported.get(secret)
    if (last?.message === problem.message && now() < last.at + eventTtlMs) return
    reported.set(secret, { message: problem.message, at: now() })
    const expires = report.expiresAt === null ? null : new Date(report.expiresAt).toISOString()
    log.warn({ secret, problem: problem.message, expires }, 'ECR token not refreshed')
    void recordWarning(
      api,
      { apiVersion: 'v1', kind: 'Secret', namespace, name: secret, uid: report.uid },
      {
        reason: 'EcrTokenFailed',
        message: problem.message,
        ending: expires === null ? 'there is no token' : `the last token expires at ${expires}`,
      },
      { now: new Date(now()), log },
    )
  }

  return {
    name: 'ecr-tokens',
    run: (signal) =>
      runEcrTokens(dependencies, secrets, {
        signal,
        onReport: (report) => {
          const { secret, outcome, problem, expiresAt } = report
          metrics.expires(secret, expiresAt)
          if (problem !== null) metrics.failed(secret, problem.link)
          if (outcome === 'written') {
            metrics.written(secret)
            log.info(
              { secret, expires: new Date(expiresAt ?? 0).toISOString() },
              'ECR token written',
            )
          }
          reportProblem(report)
        },
        onError: (secret, error) =>
          log.warn({ secret, problem: String(error) }, 'ECR token secret not checked'),
        ...options,
      }),
  }
}
