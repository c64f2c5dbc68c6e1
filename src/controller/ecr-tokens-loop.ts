/** The loop of `ecrTokens` for `berth controller`: what each look came to goes into the log, the metrics and Events. */
import type { KubeApi } from '../kube/api-client.ts'
import { recordWarning } from '../kube/event-recorder.ts'
import type { EcrMetrics } from '../telemetry/ecr-metrics.ts'
import type { Logger } from '../telemetry/log.ts'
import {
  type EcrTokensDependencies,
  type LoopOptions,
  runEcrTokens,
  type TokenReport,
  type TokenSecret,
} from '../pull-secrets/ecr/token-secret-writer.ts'
import type { Loop } from './runtime/loops.ts'

export interface EcrLoopDependencies extends EcrTokensDependencies {
  readonly api: Pick<KubeApi, 'get' | 'create' | 'replace'>
  readonly metrics: EcrMetrics
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
}

/** The API server forgets an Event after an hour (kube-apiserver, --event-ttl). */
const eventLifeMs = 3_600_000

/** Makes the loop. Every problem is told once, and again when its Event has been forgotten or its words have changed. */
export function ecrTokensLoop(
  dependencies: EcrLoopDependencies,
  secrets: readonly TokenSecret[],
  options: Pick<LoopOptions, 'waitUntil'> = {},
): Loop {
  const { api, namespace, log, metrics, now } = dependencies
  const told = new Map<string, { readonly message: string; readonly at: number }>()

  const tell = (report: TokenReport) => {
    const { secret, problem } = report
    if (problem === null) {
      if (told.delete(secret)) log.info({ secret }, 'ECR tokens come again')
      return
    }
    const last = told.get(secret)
    if (last?.message === problem.message && now() < last.at + eventLifeMs) return
    told.set(secret, { message: problem.message, at: now() })
    const ends = report.expiresAt === null ? null : new Date(report.expiresAt).toISOString()
    log.warn({ secret, problem: problem.message, expires: ends }, 'an ECR token does not come')
    void recordWarning(
      api,
      { apiVersion: 'v1', kind: 'Secret', namespace, name: secret, uid: report.uid },
      {
        reason: 'EcrTokenFailed',
        message: problem.message,
        ending: ends === null ? 'there is no token' : `the last token ends at ${ends}`,
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
          tell(report)
        },
        onTrouble: (secret, error) =>
          log.warn({ secret, problem: String(error) }, 'an ECR token cannot be kept; tried again'),
        ...options,
      }),
  }
}
