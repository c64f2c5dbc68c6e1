/**
 * Writes a pull secret with ECR tokens to Berth's own namespace. It has the label of a source, so that other namespaces can
 * get copies.
 */
import type { RoleChainStep } from '../../aws/describe-aws-error.ts'
import type { EcrSettings } from '../../aws/ecr-settings.ts'
import type { EcrTokenCache, EcrTokenState } from '../../aws/ecr-token-cache.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import type { ResourceRef } from '../../kube/object.ts'
import type { SecretObject } from '../objects.ts'
import {
  desiredSecret,
  expiresAt,
  foreignReason,
  isUpToDate,
  settingsHashOf,
} from './token-secret.ts'

/** The result of one check of one secret. */
export interface TokenReport {
  readonly secret: string
  /** The UID of the Secret; undefined if it does not exist. */
  readonly uid: string | undefined
  readonly outcome: 'unchanged' | 'written' | 'failed'
  /** Why a token could not be fetched or the Secret not written, so that the Secret stays as it was. Holds no secret. */
  readonly problem: {
    readonly link: RoleChainStep | 'secret'
    readonly message: string
  } | null
  /** When the first token in the Secret expires, in milliseconds since 1970; null if unknown. */
  readonly expiresAt: number | null
  /** The time of the next check, in milliseconds since 1970. */
  readonly checkAt: number
}

export interface EcrTokensDependencies {
  readonly api: Pick<KubeApi, 'get' | 'create' | 'replace'>
  readonly tokens: Pick<EcrTokenCache, 'refreshed'>
  /** Berth's own namespace. */
  readonly namespace: string
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** An entry of `ecrTokens`. */
export interface TokenSecretConfig {
  readonly secret: string
  readonly registries: readonly { readonly host: string; readonly ecr: EcrSettings }[]
}

/** A Secret that someone changed or deleted is repaired within this time, and a clock that jumped is noticed. */
const checkEveryMs = 60_000

/** Checks one Secret, and fetches tokens and writes it if needed. Throws KubeError. */
export async function syncTokenSecret(
  { api, tokens, namespace, now }: EcrTokensDependencies,
  { secret: name, registries }: TokenSecretConfig,
): Promise<TokenReport> {
  const collection: ResourceRef = { apiVersion: 'v1', resource: 'secrets', namespace }
  const ref: ResourceRef = { ...collection, name }
  const existing = await api.get<SecretObject>(ref)
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
    checkAt: Math.min(dueAt, now() + checkEveryMs),
  })
  const foreign = foreignReason(existing)
  if (foreign !== null) return report('failed', { link: 'secret', message: foreign })
  const settingsHash = settingsHashOf(registries)
  if (isUpToDate(existing, settingsHash, now())) return report('unchanged')

  const states = await Promise.all(registries.map(({ ecr }) => tokens.refreshed(ecr)))
  const dueAt = states.reduce((first, state) => Math.min(first, state.dueAt), Infinity)
  const problem = problemOf(states)
  if (states.every(({ token }) => token === null)) return report('failed', problem, { dueAt })
  const desired = desiredSecret(existing, {
    name,
    namespace,
    hosts: registries.map(({ host }, index) => ({ host, token: states[index]?.token ?? null })),
    settingsHash,
    refreshAt: dueAt,
  })
  const outcome = problem === null ? 'written' : 'failed'
  if (desired === null) return report(problem === null ? 'unchanged' : 'failed', problem, { dueAt })
  // The replacement has the resourceVersion that was read, so a change by someone else is not overwritten but read again.
  const secret = await (existing === null
    ? api.create<SecretObject>(collection, desired)
    : api.replace<SecretObject>(ref, desired))
  return report(outcome, problem, { secret, dueAt })
}

function problemOf(states: readonly EcrTokenState[]): TokenReport['problem'] {
  const failures = states.flatMap(({ failure }) => (failure === null ? [] : [failure]))
  const [first] = failures
  if (first === undefined) return null
  const messages = new Set(failures.map(({ message }) => message))
  return { link: first.step, message: [...messages].join('\n') }
}
