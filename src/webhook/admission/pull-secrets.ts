/** Which pull secrets a new pod gets, and what is made sure of, or warned of, before it has them. */
import { listedPullSecrets, missingPullSecrets } from '../../decision/pod/pull-secrets.ts'
import { member } from '../../json/json.ts'
import type { LazySignal } from '../../decision/resolve/budget.ts'
import type { AdmissionPolicy, SiteDecision } from '../../decision/pod/decide-sites.ts'
import type { ProvisionResult, SecretProvisioner } from './secret-provisioner.ts'
import type { NamespaceLookup } from './namespace-lookup.ts'
import type { AdmissionRequest } from './admission-review.ts'

export interface SecretsRequest {
  readonly request: AdmissionRequest
  readonly policy: AdmissionPolicy
  readonly facts: NamespaceLookup
  /** Null where nothing may be written. */
  readonly ensure: SecretProvisioner | null
  readonly signal: LazySignal
  readonly decisions: readonly SiteDecision[]
}

export interface SecretsResult {
  /** To be appended. */
  readonly names: readonly string[]
  readonly warnings: readonly string[]
}

const none: SecretsResult = { names: [], warnings: [] }

/** Appended on CREATE only: afterwards the list cannot be changed. Synchronous unless the cluster has to be asked. */
export function pullSecrets({
  request,
  policy,
  facts,
  ensure,
  signal,
  decisions,
}: SecretsRequest): SecretsResult | Promise<SecretsResult> {
  if (policy.pullSecrets.length === 0 && ensure === null) return none
  if (request.operation !== 'CREATE' || request.subResource !== '') return none
  const finals = decisions.flatMap(({ resolution }) =>
    resolution === null ? [] : [resolution.chosen],
  )
  const wanted = missingPullSecrets(policy.pullSecrets, request.object, finals)
  const listed =
    ensure === null
      ? []
      : listedPullSecrets(request.object).filter((secret) => ensure.covers(secret))
  if (wanted.length + listed.length === 0) return none
  const account = member(member(request.object, 'spec'), 'serviceAccountName')
  return secretsIn({
    namespace: request.namespace,
    account: typeof account === 'string' && account !== '' ? account : 'default',
    wanted,
    listed,
    facts,
    ensure,
    signal: signal(),
  })
}

interface SecretsToAdd {
  readonly namespace: string
  readonly account: string
  /** Those that the pod lacks. */
  readonly wanted: readonly string[]
  /** Those that it has, and that can be made sure of. */
  readonly listed: readonly string[]
  readonly facts: NamespaceLookup
  readonly ensure: SecretProvisioner | null
  readonly signal: AbortSignal
}

/** What may be added without the pod being refused for it, and what is worth a warning. */
async function secretsIn(input: SecretsToAdd): Promise<SecretsResult> {
  const { namespace, account, wanted, listed, facts, signal } = input
  const mountable =
    wanted.length === 0 ? 'all' : await facts.mountableSecrets(namespace, account, signal)
  const mayUse = (secret: string) =>
    mountable === null || mountable === 'all' || mountable.has(secret)
  const names = wanted.filter(mayUse)
  const refused = wanted.filter((secret) => !mayUse(secret))
  const warnings = await Promise.all([
    ...listed.map((secret) => warningOf(secret, input, false)),
    ...names.map((secret) => warningOf(secret, input, true)),
  ])
  return {
    names,
    warnings: [
      ...refused.map(
        (secret) =>
          `berth: pull secret ${secret} is not added: service account ${account} may not use it`,
      ),
      ...warnings.flat(),
    ],
  }
}

/** Makes sure of a secret, if that is asked for. What the pod's author named is theirs to miss, unless it should have been made. */
async function warningOf(
  secret: string,
  { namespace, facts, ensure, signal }: SecretsToAdd,
  isAdded: boolean,
): Promise<string[]> {
  const ensured: ProvisionResult =
    ensure?.covers(secret) === true ? await ensure.ensure(namespace, secret, signal) : 'elsewhere'
  if (ensured === 'there' || (ensured === 'elsewhere' && !isAdded)) return []
  const isThere = await facts.hasSecret(namespace, secret, signal)
  if (isThere === false) return [`berth: pull secret ${secret} is not in namespace ${namespace}`]
  if (isThere === true || ensured === 'elsewhere') return []
  return [
    `berth: pull secret ${secret} may be missing in namespace ${namespace}: it was not made in time`,
  ]
}
