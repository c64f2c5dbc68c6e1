/**
 * Keeps pull secrets with tokens of ECR in Berth's own namespace, one for each entry of `ecrTokens`. Other namespaces get
 * them as copies, like any other pull secret: the label of consent is on them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RoleChainStep } from '../../aws/describe-aws-error.ts'
import type { EcrSettings } from '../../aws/ecr-settings.ts'
import type { EcrTokenCache, EcrTokenState } from '../../aws/ecr-token-cache.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import type { ResourceRef } from '../../kube/object.ts'
import {
  desiredSecret,
  expiresAt,
  foreignReason,
  isIntact,
  type TokenSecretObject,
  settingsHashOf,
} from './token-secret.ts'

/** What one look at one secret came to. */
export interface TokenReport {
  readonly secret: string
  /** Of the Secret, when it is there. */
  readonly uid: string | undefined
  readonly outcome: 'unchanged' | 'written' | 'failed'
  /** Why a token did not come, or a secret could not be written; the secret then stays as it was. Holds no secret. */
  readonly problem: {
    readonly link: RoleChainStep | 'secret'
    readonly message: string
  } | null
  /** When the first token in the secret ends, in milliseconds since 1970. */
  readonly expiresAt: number | null
  /** When to look again, in milliseconds since 1970. */
  readonly lookAt: number
}

export interface EcrTokensDependencies {
  readonly api: Pick<KubeApi, 'get' | 'create' | 'replace'>
  readonly tokens: Pick<EcrTokenCache, 'refreshed'>
  /** Berth's own. */
  readonly namespace: string
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** An entry of `ecrTokens`. */
export interface TokenSecret {
  readonly secret: string
  readonly registries: readonly { readonly host: string; readonly ecr: EcrSettings }[]
}

/** A secret that somebody changed or removed is put right within this time, and a clock that jumped is noticed. */
const lookEveryMs = 60_000

/** Looks at one secret and does what it needs. Throws KubeError when the API server does not answer or refuses. */
export async function keepTokenSecret(
  { api, tokens, namespace, now }: EcrTokensDependencies,
  { secret: name, registries }: TokenSecret,
): Promise<TokenReport> {
  const collection: ResourceRef = { apiVersion: 'v1', resource: 'secrets', namespace }
  const where: ResourceRef = { ...collection, name }
  const existing = await api.get<TokenSecretObject>(where)
  const report = (
    outcome: TokenReport['outcome'],
    problem: TokenReport['problem'] = null,
    { secret = existing, dueAt = Infinity } = {},
  ): TokenReport => ({
    secret: name,
    uid: secret?.metadata.uid,
    outcome,
    problem,
    expiresAt: expiresAt(secret),
    lookAt: Math.min(dueAt, now() + lookEveryMs),
  })
  const foreign = foreignReason(existing)
  if (foreign !== null) return report('failed', { link: 'secret', message: foreign })
  const settingsHash = settingsHashOf(registries)
  if (isIntact(existing, settingsHash, now())) return report('unchanged')

  const states = await Promise.all(registries.map(({ ecr }) => tokens.refreshed(ecr)))
  const dueAt = Math.min(...states.map((state) => state.dueAt))
  const problem = problemOf(states)
  if (states.every(({ token }) => token === null)) return report('failed', problem, { dueAt })
  const wanted = desiredSecret(existing, {
    name,
    namespace,
    hosts: registries.map(({ host }, index) => ({ host, token: states[index]?.token ?? null })),
    settingsHash,
    refreshAt: dueAt,
  })
  const outcome = problem === null ? 'written' : 'failed'
  if (wanted === null) return report(problem === null ? 'unchanged' : 'failed', problem, { dueAt })
  // With the resourceVersion that was read: what somebody else wrote in between is looked at again, not overwritten.
  const secret = await (existing === null
    ? api.create<TokenSecretObject>(collection, wanted)
    : api.replace<TokenSecretObject>(where, wanted))
  return report(outcome, problem, { secret, dueAt })
}

function problemOf(states: readonly EcrTokenState[]): TokenReport['problem'] {
  const failures = states.flatMap(({ failure }) => (failure === null ? [] : [failure]))
  const [first] = failures
  if (first === undefined) return null
  const messages = new Set(failures.map(({ message }) => message))
  return { link: first.step, message: [...messages].join('\n') }
}

export interface LoopOptions {
  readonly signal: AbortSignal
  /** Told of every look. */
  readonly onReport: (report: TokenReport) => void
  /** Told of an API server that does not answer or refuses; the look is repeated. */
  readonly onTrouble: (secret: string, error: unknown) => void
  /** Waits until a time, or until the signal aborts. */
  readonly waitUntil?: (time: number, signal: AbortSignal) => Promise<void>
}

/** After an API server that did not answer: as long as the lease's own rhythm of trying again (client-go, RetryPeriod). */
const troubleMs = 2_000

/** Looks at each secret in a rhythm of its own until the signal aborts, so that one identity that is slow delays no other. */
export async function runEcrTokens(
  dependencies: EcrTokensDependencies,
  secrets: readonly TokenSecret[],
  { signal, onReport, onTrouble, waitUntil = waitFor(dependencies.now) }: LoopOptions,
): Promise<void> {
  const keep = async (secret: TokenSecret) => {
    while (!signal.aborted) {
      let lookAt = dependencies.now() + troubleMs
      try {
        const report = await keepTokenSecret(dependencies, secret)
        lookAt = report.lookAt
        onReport(report)
      } catch (error) {
        onTrouble(secret.secret, error)
      }
      await waitUntil(lookAt, signal)
    }
  }
  await Promise.all(secrets.map(keep))
}

function waitFor(now: () => number): NonNullable<LoopOptions['waitUntil']> {
  return async (time, signal) => {
    await sleep(Math.max(0, time - now()), undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }
}
