/** Selects the pull secrets that a new pod gets, and creates or warns about the ones that its namespace lacks. */
import {
  imagesToPull,
  listedPullSecrets,
  missingPullSecrets,
} from '../../decision/pod/pull-secrets.ts'
import type { PodContext } from '../../decision/fallback/pod-context.ts'
import { member } from '../../json/json.ts'
import type { LazySignal } from '../../decision/resolve/budget.ts'
import { type AdmissionPolicy, type SiteDecision } from '../../decision/pod/decide-sites.ts'
import type { MaybePromise } from '../../async/maybe-promise.ts'
import type { SecretProvisioner } from './secret-provisioner.ts'
import type { NamespaceLookup } from './namespace-lookup.ts'
import type { AdmissionRequest } from './admission-review.ts'

export interface PullSecretsInput {
  readonly request: AdmissionRequest
  readonly policy: AdmissionPolicy
  /** What rules can see of the pod. */
  readonly pod: PodContext
  readonly namespaceLookup: NamespaceLookup
  /** Null when nothing may be written. */
  readonly secretProvisioner: SecretProvisioner | null
  readonly signal: LazySignal
  readonly decisions: readonly SiteDecision[]
}

export interface PullSecretsResult {
  /** To be appended to the pod's imagePullSecrets. */
  readonly names: readonly string[]
  readonly warnings: readonly string[]
}

const none: PullSecretsResult = { names: [], warnings: [] }

/** Only on CREATE: imagePullSecrets are immutable afterwards. Synchronous unless the API server has to be asked. */
export function selectPullSecrets({
  request,
  policy,
  pod,
  namespaceLookup,
  secretProvisioner,
  signal,
  decisions,
}: PullSecretsInput): MaybePromise<PullSecretsResult> {
  if (policy.pullSecrets.length === 0 && secretProvisioner === null) return none
  if (request.operation !== 'CREATE' || request.subResource !== '') return none
  const missing = missingPullSecrets(policy.pullSecrets, {
    context: pod,
    pod: request.object,
    images: imagesToPull(decisions.map(({ resolution }) => resolution)),
  })
  const listed =
    secretProvisioner === null
      ? []
      : listedPullSecrets(request.object).filter((secret) => secretProvisioner.covers(secret))
  if (missing.length + listed.length === 0) return none
  const account = member(member(request.object, 'spec'), 'serviceAccountName')
  return checkSecrets({
    namespace: request.namespace,
    account: typeof account === 'string' && account !== '' ? account : 'default',
    missing,
    listed,
    namespaceLookup,
    secretProvisioner,
    signal: signal(),
  })
}

interface SecretsToCheck {
  readonly namespace: string
  readonly account: string
  /** Those that the pod lacks. */
  readonly missing: readonly string[]
  /** Those that the pod names and that the provisioner creates. */
  readonly listed: readonly string[]
  readonly namespaceLookup: NamespaceLookup
  readonly secretProvisioner: SecretProvisioner | null
  readonly signal: AbortSignal
}

/** Leaves out secrets that the service account may not use: the API server would reject the pod for them. */
async function checkSecrets(input: SecretsToCheck): Promise<PullSecretsResult> {
  const { namespace, account, missing, listed, namespaceLookup, signal } = input
  const mountable =
    missing.length === 0
      ? 'all'
      : await namespaceLookup.mountableSecrets(namespace, account, signal)
  const isMountable = (secret: string) =>
    mountable === null || mountable === 'all' || mountable.has(secret)
  const names = missing.filter(isMountable)
  const refused = missing.filter((secret) => !isMountable(secret))
  const warnings = await Promise.all([
    ...listed.map((secret) => provision(secret, input, false)),
    ...names.map((secret) => provision(secret, input, true)),
  ])
  return {
    names,
    warnings: [
      ...refused.map(
        (secret) =>
          `berth: pull secret ${secret} not added: service account ${account} may not use it`,
      ),
      ...warnings.flat(),
    ],
  }
}

/**
 * Creates a secret if the provisioner covers it, and returns warnings. A secret that the pod's author listed is theirs to
 * create, unless the provisioner covers it.
 */
async function provision(
  secret: string,
  { namespace, namespaceLookup, secretProvisioner, signal }: SecretsToCheck,
  isAdded: boolean,
): Promise<string[]> {
  const result =
    secretProvisioner?.covers(secret) === true
      ? await secretProvisioner.ensure(namespace, secret, signal)
      : 'not-covered'
  if (result === 'present' || (result === 'not-covered' && !isAdded)) return []
  const exists = await namespaceLookup.hasSecret(namespace, secret, signal)
  if (exists === false) return [`berth: pull secret ${secret} not found in namespace ${namespace}`]
  if (exists === true || result === 'not-covered') return []
  return [
    `berth: pull secret ${secret} may be missing in namespace ${namespace}: not created in time`,
  ]
}
