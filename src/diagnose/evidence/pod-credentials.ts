/** Reads the pull secrets and the service account of a pod, as the kubelet uses them. */
import { annotations } from '../../decision/pod/sites.ts'
import type { Reference } from '../../decision/reference/reference.ts'
import { type Keyring, readKeyring, type PullSecretState } from '../../credentials/keyring.ts'
import { credentialOrder } from '../../credentials/credential-order.ts'
import { isObject, member, objectsMember, textMember } from '../../json/json.ts'
import type { KubeObject } from '../../kube/object.ts'
import { expiresAnnotation } from '../../pull-secrets/labels.ts'
import type { PodCredentials } from '../verdict.ts'
import type { ObjectReader } from './cluster-reader.ts'

/** Annotations of service accounts that give containers a cloud identity. The kubelet does not use them for pulls. */
const containerIdentities = ['eks.amazonaws.com/role-arn', 'azure.workload.identity/client-id', 'iam.gke.io/gcp-service-account'] // prettier-ignore

/** `reference` is null for an image name that does not parse; `now` is in milliseconds since the epoch. */
export async function readPodCredentials(
  read: ObjectReader,
  pod: KubeObject,
  { reference, now }: { readonly reference: Reference | null; readonly now: number },
): Promise<{ readonly keyring: Keyring; readonly credentials: PodCredentials }> {
  const namespace = pod.metadata.namespace ?? ''
  const spec = member(pod, 'spec')
  const account = await read('serviceaccounts', namespace, serviceAccountName(spec))
  const names = pullSecretNames(spec)
  const states = new Map<string, PullSecretState>()
  const expired: string[] = []
  for (const name of names.filter((each) => each !== '')) {
    const secret = await read('secrets', namespace, name)
    states.set(name, secretState(secret))
    const expiry = annotations(secret)[expiresAnnotation]
    if (typeof expiry === 'string' && Date.parse(expiry) <= now) expired.push(name)
  }
  const keyring = readKeyring(names, (name) => states.get(name) ?? 'missing')
  return {
    keyring,
    credentials: {
      order: reference === null ? null : credentialOrder(keyring, reference),
      notCopied: pullSecretNames(account).filter((name) => !names.includes(name)),
      accountAnnotations: containerIdentities.filter((name) => name in annotations(account)),
      expired,
    },
  }
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
