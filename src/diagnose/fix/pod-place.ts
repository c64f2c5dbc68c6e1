/** Where a pod gets its pull secrets from, and what recreates it. Pure. */
import { secretOfTemplate } from '../../pull-secrets/stuck-pods.ts'

export interface PodPlace {
  readonly namespace: string
  readonly pod: string
  /** The controller that recreates the pod; null for a bare pod. */
  readonly owner: { readonly kind: string; readonly name: string } | null
  /** The object whose template makes the pod, such as the Deployment of its ReplicaSet; null if unknown. */
  readonly workload: { readonly kind: string; readonly name: string } | null
  readonly account: string
  /** The `imagePullSecrets` of the service account; null if they could not be read. */
  readonly accountSecrets: readonly string[] | null
  /** The `imagePullSecrets` of the pod. */
  readonly podSecrets: readonly string[]
}

/** Kinds with a template that can change. The template of a Job is immutable. */
const patchableKinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'CronJob']

/** Kinds that replace a failing pod after a change of their template. */
const rollingKinds = ['Deployment', 'DaemonSet']

/** True if the pod's template sets its own list, so that the service account's is not used. */
function hasOwnList({ podSecrets, accountSecrets }: PodPlace): boolean {
  return secretOfTemplate(podSecrets, accountSecrets ?? []) !== undefined
}

/**
 * Returns commands after which the pod has the secret: a patch of the service account or of the template, and the
 * recreation of the pod, whose `imagePullSecrets` are immutable. Empty if a person has to decide.
 */
export function linkCommands(place: PodPlace, secret: string): string[] {
  const { namespace, owner, workload, account, accountSecrets } = place
  const list = JSON.stringify([{ name: secret }])
  if (owner === null) return [recreateBarePod(place, `{"spec":{"imagePullSecrets":${list}}}`)]
  if (owner.kind === 'Node') return []
  if (hasOwnList(place)) {
    if (workload === null || !patchableKinds.includes(workload.kind)) return []
    const spec = `{"spec":{"template":{"spec":{"imagePullSecrets":${list}}}}}`
    const patch = workload.kind === 'CronJob' ? `{"spec":{"jobTemplate":${spec}}}` : spec
    const command = `kubectl patch ${workload.kind.toLowerCase()} ${workload.name} -n ${namespace} -p '${patch}'`
    return rollingKinds.includes(workload.kind) ? [command] : [command, ...recreateCommands(place)]
  }
  if (accountSecrets === null) return []
  const target = `kubectl patch serviceaccount ${account} -n ${namespace}`
  const link =
    accountSecrets.length === 0
      ? `${target} --type=merge -p '{"imagePullSecrets":${list}}'`
      : `${target} --type=json -p '[{"op":"add","path":"/imagePullSecrets/-","value":{"name":"${secret}"}}]'`
  return [...(accountSecrets.includes(secret) ? [] : [link]), ...recreateCommands(place)]
}

/** None for a pod of a Job, which counts a lost pod as a failure. */
function recreateCommands({ owner, namespace, pod }: PodPlace): string[] {
  // The API server creates pods from its cache of service accounts, which needs a moment (plugin/pkg/admission/serviceaccount).
  return owner?.kind === 'Job' ? [] : [`sleep 2 && kubectl delete pod ${pod} -n ${namespace}`]
}

/** kubectl merges `imagePullSecrets` of a pod by name, and `replace --force` deletes and creates. */
function recreateBarePod({ namespace, pod }: PodPlace, patch: string): string {
  return `kubectl get pod ${pod} -n ${namespace} -o json | kubectl patch --local -f - -p '${patch}' -o json | kubectl replace --force -f -`
}
