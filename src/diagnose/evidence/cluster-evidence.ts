/**
 * What a cluster tells of pulls that fail: pods, events, the secrets that the failing pods name, their nodes. Registries are
 * asked, and the fallback table is looked at, by whatever the caller hands over for it.
 */
import { type Keyring, readKeyring, type SecretState } from '../../credentials/keyring.ts'
import { candidateCredentials, pullOrder } from '../../credentials/pull-order.ts'
import { type PodEvent, type PullFailure, pullFailures } from '../pull-failure.ts'
import type { Judged } from '../findings.ts'
import { wantsNode, withNode, withPlatform } from './node-evidence.ts'
import { suggestionsFor } from './suggestions.ts'
import { applyProbe } from './apply-probe.ts'
import { type Credentials, isAboutAccess, judge, type PullVerdict } from '../verdict.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import { annotations } from '../../decision/pod/sites.ts'
import { isObject, member } from '../../json/json.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import type { Reference } from '../../decision/reference/reference.ts'
import type { FallbackCheck } from './fallback-evidence.ts'
import { openShiftFacts, type OpenShiftFacts } from './openshift-evidence.ts'
import type { ProbeCredential, Prober } from './registry-prober.ts'

/** Which pods: all of a namespace or the cluster, or those of one object. */
export interface Scope {
  /** Undefined: all of them. */
  readonly namespace: string | undefined
  /** Undefined: whatever its name is. */
  readonly isWanted: (pod: KubeObject) => boolean
}

/** Annotations of service accounts for the identity of containers, which the kubelet's pulls do not look at. */
const containerIdentities = ['eks.amazonaws.com/role-arn', 'azure.workload.identity/client-id', 'iam.gke.io/gcp-service-account'] // prettier-ignore

/** When the token in a secret ends, as Berth's controller writes it there. */
const expiresAnnotation = 'berth.dev/expires-at'

/** What may be asked beside the API server. */
export interface Beyond {
  readonly prober?: Prober | null
  readonly fallback?: FallbackCheck | null
  /** Milliseconds since the epoch, for what expires. */
  readonly now?: () => number
}

/** Judges every failing pull of the scope. Throws KubeError when pods cannot be listed; what else may not be read is said in the verdicts. */
export async function judgeCluster(
  api: KubeApi,
  scope: Scope,
  beyond: Beyond = {},
): Promise<Judged[]> {
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
      verdict: await verdictOf({ api, read, beyond }, pod, failure),
    })),
  )
}

/**
 * Judges pulls one by one, for whoever knows already which fail; each object is read once. Without leave to read secrets a
 * verdict about a pod that names some rests on the message. No registry is asked.
 */
export function createJudge(
  api: KubeApi,
  readSecrets: boolean,
): (pod: KubeObject, failure: PullFailure) => Promise<PullVerdict> {
  const read = reader(api)
  return async (pod, { message, image }) => {
    const isBlind = !readSecrets && secretNames(member(pod, 'spec')).length > 0
    if (isBlind) return judge(message, null)
    const parsed = parseReference(image)
    const reference = parsed.ok ? parsed.reference : null
    const { credentials } = await credentialsOf(read, pod, { reference, now: Date.now() })
    return judge(message, credentials)
  }
}

interface Sources {
  readonly api: KubeApi
  readonly read: Read
  readonly beyond: Beyond
}

async function verdictOf(
  sources: Sources,
  pod: KubeObject,
  failure: PullFailure,
): Promise<PullVerdict> {
  const { read, beyond } = sources
  const parsed = parseReference(failure.image)
  const reference = parsed.ok ? parsed.reference : null
  const now = beyond.now?.() ?? Date.now()
  const { keyring, credentials } = await credentialsOf(read, pod, { reference, now })
  const said = judge(failure.message, credentials)
  const hasNode = failure.node !== null && wantsNode(said.cause.rule)
  const node = hasNode ? await read('nodes', '', failure.node ?? '') : null
  const verdict =
    node === 'unreadable'
      ? { ...said, missing: [...said.missing, `node ${failure.node} may not be read by you`] }
      : withNode(said, node, failure.image)
  if (reference === null) return verdict
  const probed = await probedVerdict(sources, verdict, { reference, keyring, node })
  const berth = (await beyond.fallback?.(probed, failure, pod)) ?? []
  return {
    ...probed,
    berth: berth.length > 0 ? berth : suggestionsFor(probed.cause.rule, failure.image),
  }
}

interface Image {
  readonly reference: Reference
  readonly keyring: Keyring
  readonly node: unknown
}

/** What the registry says, to the pod's credentials and, where it has none, to OpenShift's global secret. */
async function probedVerdict(
  { api, beyond: { prober } }: Sources,
  verdict: PullVerdict,
  { reference, keyring, node }: Image,
): Promise<PullVerdict> {
  const own = podCredentials(keyring, reference)
  const isUnmatched = own.length === 0 && verdict.wantedKey !== null
  const cluster = isUnmatched ? await openShiftFacts(api, reference) : null
  const global = cluster?.credentials ?? []
  const askers = [
    ...own,
    ...global.map((each) => ({ ...each, by: 'other' as const, secret: null })),
  ]
  const seen = (await prober?.look(reference, verdict.cause.rule, askers)) ?? null
  const held = withCluster(verdict, cluster)
  const probed = seen === null ? held : withPlatform(applyProbe(held, seen), node, seen)
  const fix = cluster?.fix ?? null
  return fix !== null && isAboutAccess(probed.cause.rule) ? { ...probed, fix } : probed
}

function withCluster(verdict: PullVerdict, cluster: OpenShiftFacts | null): PullVerdict {
  return cluster === null
    ? verdict
    : { ...verdict, evidence: [...verdict.evidence, ...cluster.evidence] }
}

/** Those that the kubelet would try, each with its secret's name. */
function podCredentials(keyring: Keyring, reference: Reference): ProbeCredential[] {
  const { candidates } = pullOrder(keyring, reference)
  return candidateCredentials(keyring, reference).flatMap((credential, index) => {
    const candidate = candidates[index]
    return candidate === undefined || candidate.isAnonymous || candidate.repeats !== null
      ? []
      : [{ ...credential, by: 'pod', secret: candidate.secret }]
  })
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
    const within = namespace === '' ? {} : { namespace }
    const asked = api.get({ apiVersion: 'v1', resource, ...within, name }).catch((error) => {
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
  { reference, now }: { readonly reference: Reference | null; readonly now: number },
): Promise<{ readonly keyring: Keyring; readonly credentials: Credentials }> {
  const namespace = pod.metadata.namespace ?? ''
  const spec = member(pod, 'spec')
  const account = await read('serviceaccounts', namespace, accountName(spec))
  const names = secretNames(spec)
  const states = new Map<string, SecretState>()
  const expired: string[] = []
  for (const name of names.filter((each) => each !== '')) {
    const secret = await read('secrets', namespace, name)
    states.set(name, stateOf(secret))
    const expiry = annotations(secret)[expiresAnnotation]
    if (typeof expiry === 'string' && Date.parse(expiry) <= now) expired.push(name)
  }
  const keyring = readKeyring(names, (name) => states.get(name) ?? 'missing')
  return {
    keyring,
    credentials: {
      order: reference === null ? null : pullOrder(keyring, reference),
      notCopied: secretNames(account).filter((name) => !names.includes(name)),
      accountAnnotations: containerIdentities.filter((name) => name in annotations(account)),
      expired,
    },
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
