/** Lists what Berth has in a cluster, by its labels, in the order in which it can be removed. Changes nothing. */
import type { KubeApi, Selection } from '../kube/api-client.ts'
import { hasStatus } from '../kube/error.ts'
import { type KubeObject, type ResourceRef, resourceOfKind } from '../kube/object.ts'
import {
  contentAnnotation,
  copyLabel,
  linkedAnnotation,
  managedBy,
  managedByLabel,
} from '../pull-secrets/labels.ts'

/** One object to delete, or one service account whose links are removed. */
export interface UninstallStep {
  readonly action: 'delete' | 'unlink'
  readonly kind: string
  readonly ref: ResourceRef & { readonly name: string }
  readonly uid: string
  readonly reason: string
}

/** A collection that could not be read. */
export interface UnreadCollection {
  readonly resource: string
  readonly problem: string
}

export interface UninstallPlan {
  readonly steps: readonly UninstallStep[]
  readonly unread: readonly UnreadCollection[]
}

type UninstallAction = Pick<UninstallStep, 'action' | 'reason'>

interface Collection {
  readonly kind: string
  readonly apiVersion: string
  readonly resource: string
}

const rbac = 'rbac.authorization.k8s.io/v1'
const admission = 'admissionregistration.k8s.io/v1'

function collection(kind: string, apiVersion: string): Collection {
  return { kind, apiVersion, resource: resourceOfKind(kind) }
}

/** First the API server no longer calls the webhook, then the processes end, and then they have no right to write again. */
const activeKinds: readonly Collection[] = [
  collection('MutatingWebhookConfiguration', admission),
  collection('HorizontalPodAutoscaler', 'autoscaling/v2'),
  collection('Deployment', 'apps/v1'),
  collection('DaemonSet', 'apps/v1'),
  collection('CronJob', 'batch/v1'),
  collection('ClusterRoleBinding', rbac),
  collection('RoleBinding', rbac),
]

const otherKinds: readonly Collection[] = [
  collection('ValidatingAdmissionPolicyBinding', admission),
  collection('ValidatingAdmissionPolicy', admission),
  collection('ClusterRole', rbac),
  collection('Role', rbac),
  collection('Service', 'v1'),
  collection('PodDisruptionBudget', 'policy/v1'),
  collection('NetworkPolicy', 'networking.k8s.io/v1'),
  collection('ConfigMap', 'v1'),
  collection('ResourceQuota', 'v1'),
  collection('ServiceMonitor', 'monitoring.coreos.com/v1'),
  collection('PrometheusRule', 'monitoring.coreos.com/v1'),
  collection('Certificate', 'cert-manager.io/v1'),
  collection('Issuer', 'cert-manager.io/v1'),
  collection('Report', 'openreports.io/v1alpha1'),
  collection('ServiceAccount', 'v1'),
]

const secretKind = collection('Secret', 'v1')
const accountKind = collection('ServiceAccount', 'v1')
const leaseKind = collection('Lease', 'coordination.k8s.io/v1')
const namespaceKind = collection('Namespace', 'v1')

const nameLabel = 'app.kubernetes.io/name=berth'

/** The Secret and the Lease that the processes create in their own namespace have no labels. */
const ownSecret = 'berth-own-certificate'
const ownLease = 'berth-controller'

/** `namespace`: where Berth runs. Throws KubeError if the API server does not answer. */
export async function planUninstall(api: KubeApi, namespace: string): Promise<UninstallPlan> {
  const unread: UnreadCollection[] = []

  async function find(
    { kind, apiVersion, resource }: Collection,
    selection: Selection,
    toStep: (object: KubeObject) => UninstallAction | null,
  ): Promise<UninstallStep[]> {
    const steps: UninstallStep[] = []
    try {
      const selected = { ...selection, metadataOnly: true }
      for await (const object of api.list<KubeObject>({ apiVersion, resource }, selected)) {
        const step = toStep(object)
        if (step === null || object.metadata.deletionTimestamp !== undefined) continue
        const { name, namespace: within, uid = '' } = object.metadata
        const scope = within === undefined ? {} : { namespace: within }
        steps.push({ ...step, kind, ref: { apiVersion, resource, ...scope, name }, uid })
      }
    } catch (error) {
      // 404: the cluster does not have this kind.
      if (!hasStatus(error, 403, 404)) throw error
      if (error.status === 403) unread.push({ resource, problem: error.message })
    }
    return steps
  }

  const findLabelled = async (kinds: readonly Collection[]) => {
    const found: UninstallStep[] = []
    for (const kind of kinds)
      found.push(...(await find(kind, { labelSelector: nameLabel }, labelledStep(kind))))
    return found
  }
  const findOwn = (kind: Collection, name: string) =>
    find(kind, { fieldSelector: `metadata.name=${name}` }, ({ metadata }) =>
      metadata.namespace === namespace
        ? { action: 'delete', reason: 'created by Berth in its namespace' }
        : null,
    )

  const steps = [
    ...(await findLabelled(activeKinds)),
    ...(await find(accountKind, {}, unlinkStep)),
    ...(await find(secretKind, { labelSelector: `${managedByLabel}=${managedBy}` }, secretStep)),
    ...(await findOwn(secretKind, ownSecret)),
    ...(await findLabelled(otherKinds)),
    ...(await findOwn(leaseKind, ownLease)),
    ...(await findLabelled([namespaceKind])),
  ]
  return { steps, unread }
}

/**
 * Another application may have the same label, so the name must be Berth's too. A Report has the annotation that Berth writes,
 * because the controller leaves others with its name unchanged.
 */
function labelledStep({ kind }: Collection): (object: KubeObject) => UninstallAction | null {
  const rest = kind === 'Namespace' ? ', with everything in it' : ''
  return ({ metadata }) =>
    /^berth(-|$)/.test(metadata.name) &&
    (kind !== 'Report' || metadata.annotations?.[contentAnnotation] !== undefined)
      ? { action: 'delete', reason: `label ${nameLabel}${rest}` }
      : null
}

function unlinkStep({ metadata }: KubeObject): UninstallAction | null {
  const linked = metadata.annotations?.[linkedAnnotation] ?? ''
  return linked === '' ? null : { action: 'unlink', reason: `Berth linked ${linked}` }
}

function secretStep({ metadata }: KubeObject): UninstallAction {
  const isCopy = metadata.labels?.[copyLabel] !== undefined
  return { action: 'delete', reason: isCopy ? 'copy of a pull secret' : 'ECR tokens' }
}
