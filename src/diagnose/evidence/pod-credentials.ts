/** Reads the pull secrets and the service account of a pod, as the kubelet uses them. */
import { annotations } from '../../decision/pod/sites.ts'
import type { Reference } from '../../decision/reference/reference.ts'
import { type Keyring, readKeyring, type PullSecretState } from '../../credentials/keyring.ts'
import { credentialOrder } from '../../credentials/credential-order.ts'
import { isObject, member, objectsMember, textMember } from '../../json/json.ts'
import type { KubeObject, OwnerReference } from '../../kube/object.ts'
import { controllerOf } from '../../kube/pod-owner.ts'
import { expiresAnnotation } from '../../pull-secrets/labels.ts'
import type { PodPlace } from '../fix/pod-place.ts'
import { readSecretShape, type SecretShape } from '../fix/secret-shape.ts'
import type { PodCredentials } from '../verdict.ts'
import type { ObjectReader } from './cluster-reader.ts'
import { readExpiries } from './token-expiry.ts'

/** Annotations of service accounts that give containers a cloud identity. The kubelet does not use them for pulls. */
const containerIdentities = ['eks.amazonaws.com/role-arn', 'azure.workload.identity/client-id', 'iam.gke.io/gcp-service-account'] // prettier-ignore

export interface PodCredentialsOptions {
  /** Null for an image name that does not parse. */
  readonly reference: Reference | null
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Whether to read the owner of the pod's ReplicaSet or Job, which needs further rights. */
  readonly readsOwners: boolean
}

export async function readPodCredentials(
  read: ObjectReader,
  pod: KubeObject,
  { reference, now, readsOwners }: PodCredentialsOptions,
): Promise<{ readonly keyring: Keyring; readonly credentials: PodCredentials }> {
  const namespace = pod.metadata.namespace ?? ''
  const spec = member(pod, 'spec')
  const account = await read('serviceaccounts', namespace, serviceAccountName(spec))
  const names = pullSecretNames(spec)
  const states = new Map<string, PullSecretState>()
  const shapes = new Map<string, SecretShape>()
  const expiryAnnotations = new Map<string, string>()
  for (const name of names.filter((each) => each !== '')) {
    const secret = await read('secrets', namespace, name)
    states.set(name, secretState(secret))
    const expiry = annotations(secret)[expiresAnnotation]
    if (typeof expiry === 'string') expiryAnnotations.set(name, expiry)
    if (isObject(secret)) shapes.set(name, readSecretShape(secret as never, reference))
  }
  const keyring = readKeyring(names, (name) => states.get(name) ?? 'missing')
  const expiries = readExpiries(keyring, expiryAnnotations, now)
  return {
    keyring,
    credentials: {
      order: reference === null ? null : credentialOrder(keyring, reference),
      notCopied: pullSecretNames(account).filter((name) => !names.includes(name)),
      accountAnnotations: containerIdentities.filter((name) => name in annotations(account)),
      expiries,
      fresh: freshSecrets(shapes, Date.parse(pod.metadata.creationTimestamp ?? ''), now),
      place: await readPlace(readsOwners ? read : null, pod, account),
      shapes,
    },
  }
}

/** The longest time between two tries (k8s.io/kubernetes v1.36, pkg/kubelet/kubelet.go, MaxImageBackOff), in milliseconds. */
const longestBackoffMs = 300_000

function freshSecrets(
  shapes: ReadonlyMap<string, SecretShape>,
  podCreatedAt: number,
  now: number,
): Map<string, string> {
  const fresh = new Map<string, string>()
  for (const [name, { changedAt }] of shapes)
    // The API server truncates both times to seconds.
    if (changedAt !== null && changedAt > podCreatedAt && now - changedAt < longestBackoffMs)
      fresh.set(name, new Date(changedAt).toISOString())
  return fresh
}

/** `read` is null if owners may not be read. */
async function readPlace(
  read: ObjectReader | null,
  pod: KubeObject,
  account: unknown,
): Promise<PodPlace> {
  const { name, namespace = '' } = pod.metadata
  const spec = member(pod, 'spec')
  const found = controllerOf(pod.metadata)
  const owner = found === null ? null : { kind: found.kind, name: found.name }
  const resource = owner === null ? undefined : ownedOwners[owner.kind]
  const holder =
    owner === null || resource === undefined
      ? null
      : ((await read?.(resource, namespace, owner.name)) ?? 'unreadable')
  const above = isObject(holder) ? controllerOf((holder as unknown as KubeObject).metadata) : null
  const named = (list: unknown) => pullSecretNames(list).filter((each) => each !== '')
  return {
    namespace,
    pod: name,
    owner,
    // An owner that could not be read may have an owner that would undo a change.
    workload: holder === 'unreadable' || !isOfKubernetes(above ?? found) ? null : (above ?? owner),
    account: serviceAccountName(spec),
    accountSecrets: account === 'unreadable' ? null : named(account),
    podSecrets: named(spec),
  }
}

/** Other groups have workloads of the same kinds, such as the StatefulSet of apps.kruise.io. */
function isOfKubernetes(owner: OwnerReference | null): boolean {
  return owner !== null && /^(?:apps|batch)\//.test(owner.apiVersion)
}

/** Kinds of owners that mostly have an owner themselves, with their resources. */
const ownedOwners: Readonly<Partial<Record<string, string>>> = {
  ReplicaSet: 'replicasets',
  Job: 'jobs',
}

/** Returns the name of a pod's service account, which the API server defaults to `default`. */
export function serviceAccountName(spec: unknown): string {
  const name = member(spec, 'serviceAccountName')
  return typeof name === 'string' ? name : 'default'
}

/** Returns the names in an `imagePullSecrets` list, in order; empty for an entry without a name, as the kubelet reads it. */
export function pullSecretNames(holder: unknown): string[] {
  return objectsMember(holder, 'imagePullSecrets').map((entry) => textMember(entry, 'name'))
}

function secretState(secret: unknown): PullSecretState {
  if (secret === 'unreadable') return 'unreadable'
  return isObject(secret) ? secret : 'missing'
}
