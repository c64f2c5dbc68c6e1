/** What a cluster tells of pulls that fail: pods, events, and the secrets that the failing pods name. Asks the API server alone. */
import { readKeyring, type SecretState } from '../credentials/keyring.ts'
import { pullOrder } from '../credentials/pull-order.ts'
import { type PodEvent, type PullFailure, pullFailures } from '../diagnose/failure.ts'
import type { Judged } from '../diagnose/findings.ts'
import { type Credentials, judge, type Verdict } from '../diagnose/verdict.ts'
import type { KubeApi } from '../kube/api.ts'
import { hasStatus } from '../kube/error.ts'
import type { KubeObject } from '../kube/object.ts'
import { annotations, isObject, member } from '../pod/sites.ts'
import { parseReference } from '../reference/parse.ts'

/** Which pods: all of a namespace or the cluster, or those of one object. */
export interface Scope {
  /** Undefined: all of them. */
  readonly namespace: string | undefined
  /** Undefined: whatever its name is. */
  readonly isWanted: (pod: KubeObject) => boolean
}

/** Annotations of service accounts for the identity of containers, which the kubelet's pulls do not look at. */
const containerIdentities = ['eks.amazonaws.com/role-arn', 'azure.workload.identity/client-id', 'iam.gke.io/gcp-service-account'] // prettier-ignore

/** Judges every failing pull of the scope. Throws KubeError when pods cannot be listed; what else may not be read is said in the verdicts. */
export async function judgeCluster(api: KubeApi, scope: Scope): Promise<Judged[]> {
  const where = {
    apiVersion: 'v1',
    ...(scope.namespace === undefined ? {} : { namespace: scope.namespace }),
  }
  const failing: { pod: KubeObject; failure: PullFailure }[] = []
  const events = await eventsOf(api, where)
  for await (const pod of api.list<KubeObject>({ ...where, resource: 'pods' })) {
    if (!scope.isWanted(pod)) continue
    const own = events.get(pod.metadata.uid ?? '') ?? []
    failing.push(...pullFailures(pod, own).map((failure) => ({ pod, failure })))
  }
  const read = reader(api)
  return Promise.all(
    failing.map(async ({ pod, failure }) => ({
      failure,
      verdict: judge(failure.message, await credentialsOf(read, pod, failure.image)),
    })),
  )
}

/**
 * Judges pulls one by one, for whoever knows already which fail; each object is read once. Without leave to read secrets a
 * verdict about a pod that names some rests on the message.
 */
export function createJudge(
  api: KubeApi,
  readSecrets: boolean,
): (pod: KubeObject, failure: PullFailure) => Promise<Verdict> {
  const read = reader(api)
  return async (pod, { message, image }) => {
    const isBlind = !readSecrets && secretNames(member(pod, 'spec')).length > 0
    return judge(message, isBlind ? null : await credentialsOf(read, pod, image))
  }
}

/** Warnings about pods, by the pod's UID, oldest first. None when they may not be read: a status says most of it. */
async function eventsOf(
  api: KubeApi,
  where: { readonly apiVersion: string; readonly namespace?: string },
): Promise<Map<string, PodEvent[]>> {
  const found = new Map<string, (PodEvent & { readonly at: string })[]>()
  try {
    const selection = { fieldSelector: 'type=Warning,involvedObject.kind=Pod' }
    for await (const event of api.list<KubeObject>({ ...where, resource: 'events' }, selection)) {
      const uid = member(member(event, 'involvedObject'), 'uid')
      const reason = member(event, 'reason')
      const message = member(event, 'message')
      const last = member(event, 'lastTimestamp') ?? event.metadata.creationTimestamp
      if (typeof uid !== 'string' || typeof reason !== 'string' || typeof message !== 'string')
        continue
      const at = typeof last === 'string' ? last : ''
      found.set(uid, [...(found.get(uid) ?? []), { reason, message, at }])
    }
  } catch (error) {
    if (!hasStatus(error, 403)) throw error
  }
  for (const events of found.values()) events.sort((one, other) => (one.at < other.at ? -1 : 1))
  return found
}

type Read = (resource: string, namespace: string, name: string) => Promise<unknown>

/** Each object once, however many pods name it. `unreadable` for what the caller may not see, null for what is not there. */
function reader(api: KubeApi): Read {
  const seen = new Map<string, Promise<unknown>>()
  return (resource, namespace, name) => {
    const key = `${resource} ${namespace}/${name}`
    const before = seen.get(key)
    if (before !== undefined) return before
    const asked = api.get({ apiVersion: 'v1', resource, namespace, name }).catch((error) => {
      if (hasStatus(error, 403)) return 'unreadable'
      throw error
    })
    seen.set(key, asked)
    return asked
  }
}

async function credentialsOf(
  read: Read,
  pod: KubeObject,
  image: string,
): Promise<Credentials | null> {
  const parsed = parseReference(image)
  const namespace = pod.metadata.namespace ?? ''
  const spec = member(pod, 'spec')
  const account = await read('serviceaccounts', namespace, accountName(spec))
  const names = secretNames(spec)
  const states = new Map<string, SecretState>()
  for (const name of names.filter((each) => each !== ''))
    states.set(name, stateOf(await read('secrets', namespace, name)))
  const keyring = readKeyring(names, (name) => states.get(name) ?? 'missing')
  return {
    order: parsed.ok ? pullOrder(keyring, parsed.reference) : null,
    notCopied: secretNames(account).filter((name) => !names.includes(name)),
    accountAnnotations: containerIdentities.filter((name) => name in annotations(account)),
  }
}

function accountName(spec: unknown): string {
  const name = member(spec, 'serviceAccountName')
  return typeof name === 'string' ? name : 'default'
}

/** Names in a list of pull secrets, in order; an entry without one is an empty name, as the kubelet sees it. */
function secretNames(holder: unknown): string[] {
  const list = member(holder, 'imagePullSecrets')
  return Array.isArray(list)
    ? list.filter(isObject).map(({ name }) => (typeof name === 'string' ? name : ''))
    : []
}

function stateOf(found: unknown): SecretState {
  if (found === 'unreadable') return 'unreadable'
  return isObject(found) ? found : 'missing'
}
