/** The controller loop that refreshes pull secrets with ECR tokens, and reports to the log, the metrics and Events. */
import { type Backoff, backoffMs } from '../async/backoff.ts'
import { sleep } from '../async/sleep.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { isMissingRight } from '../kube/error.ts'
import { recordWarning } from '../kube/event-recorder.ts'
import {
  type EcrTokensDependencies,
  syncTokenSecret,
  type TokenReport,
  type TokenSecretConfig,
} from '../pull-secrets/ecr/token-secret-writer.ts'
import type { EcrMetrics } from '../telemetry/ecr-metrics.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Loop } from './runtime/loops.ts'

export interface EcrLoopDependencies extends EcrTokensDependencies {
  readonly api: Pick<KubeApi, 'get' | 'create' | 'replace'>
  readonly metrics: EcrMetrics
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
  /** Resolves at a time in milliseconds since 1970, or when the signal aborts. Tests replace it. */
  readonly waitUntil?: (time: number, signal: AbortSignal) => Promise<void>
}

/** After failed requests to the API server. Starts with client-go's RetryPeriod for leases. */
const retryBackoff: Backoff = { firstMs: 2_000, maxMs: 60_000 }

/** While the right to read or write the Secret is missing. Short at first, because rights are often granted right after the start. */
const forbiddenBackoff: Backoff = { firstMs: 10_000, maxMs: 600_000 }

const missingRightFix =
  'add the component ecr-tokens with this Secret (Helm: controller.ecrSecrets), or remove it from ecrTokens'

/** The API server deletes an Event after an hour (kube-apiserver, --event-ttl). */
const eventTtlMs = 3_600_000

/** Checks each Secret independently of the others, so that a slow one does not delay them. */
export function createEcrTokensLoop(
  dependencies: EcrLoopDependencies,
  secrets: readonly TokenSecretConfig[],
): Loop {
  const { log, now } = dependencies
  const { waitUntil = (time, signal) => sleep(Math.max(0, time - now()), signal) } = dependencies
  const report = createReporter(dependencies)

  async function refresh(secret: TokenSecretConfig, signal: AbortSignal): Promise<void> {
    let failures = 0
    let lastProblem = ''
    while (!signal.aborted) {
      let checkAt: number
      try {
        const result = await syncTokenSecret(dependencies, secret)
        checkAt = result.checkAt
        failures = 0
        lastProblem = ''
        report(result)
      } catch (error) {
        const problem = String(error)
        const isForbidden = isMissingRight(error)
        failures = problem === lastProblem ? failures + 1 : 1
        checkAt = now() + backoffMs(isForbidden ? forbiddenBackoff : retryBackoff, failures)
        const fields = { secret: secret.secret, problem }
        if (problem === lastProblem) log.debug(fields, 'ECR token secret not checked')
        else if (isForbidden) log.warn({ ...fields, fix: missingRightFix }, 'right missing')
        else log.warn(fields, 'ECR token secret not checked')
        lastProblem = problem
      }
      await waitUntil(checkAt, signal)
    }
  }

  return {
    name: 'ecr-tokens',
    run: async (signal) => {
      await Promise.all(secrets.map((secret) => refresh(secret, signal)))
    },
  }
}

/** Returns a function that reports each problem once, and again when its message changes or its Event has expired. */
function createReporter({
  api,
  namespace,
  log,
  metrics,
  now,
}: EcrLoopDependencies): (report: TokenReport) => void {
  const reported = new Map<string, { readonly message: string; readonly at: number }>()

  function reportProblem({ secret, uid, problem, expiresAt }: TokenReport): void {
    if (problem === null) {
      if (reported.delete(secret)) log.info({ secret }, 'ECR token available again')
      return
    }
    const { message } = problem
    const last = reported.get(secret)
    if (last?.message === message && now() < last.at + eventTtlMs) return
    reported.set(secret, { message, at: now() })
    const expires = expiresAt === null ? null : new Date(expiresAt).toISOString()
    log.warn({ secret, problem: message, expires }, 'ECR token not refreshed')
    const ending = expires === null ? 'there is no token' : `the last token expires at ${expires}`
    void recordWarning(
      api,
      { apiVersion: 'v1', kind: 'Secret', namespace, name: secret, uid },
      { reason: 'EcrTokenFailed', message, ending },
      { now: new Date(now()), log },
    )
  }

  return (report) => {
    const { secret, outcome, problem, expiresAt } = report
    metrics.expires(secret, expiresAt)
    if (problem !== null) metrics.failed(secret, problem.link)
    if (outcome === 'written') {
      metrics.written(secret)
      log.info({ secret, expires: new Date(expiresAt ?? 0).toISOString() }, 'ECR token written')
    }
    reportProblem(report)
  }
}
