/**
 * Diagnoses the failing pulls of a cluster, from pods, events, pull secrets, service accounts and nodes. The caller
 * supplies what probes registries and what evaluates the fallback table.
 */
import type { Keyring } from '../../credentials/keyring.ts'
import { candidateCredentials, credentialOrder } from '../../credentials/credential-order.ts'
import { member } from '../../json/json.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import type { Reference } from '../../decision/reference/reference.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import type { KubeObject } from '../../kube/object.ts'
import type { DiagnosedFailure } from '../findings.ts'
import { type PullFailure, pullFailures } from '../pull-failure.ts'
import { fixOf } from '../rules/classify.ts'
import { diagnoseMessage, type PullVerdict } from '../verdict.ts'
import { applyProbe } from './apply-probe.ts'
import { createObjectReader, type ObjectReader, readPodEvents } from './cluster-reader.ts'
import type { FallbackCheck } from './fallback-evidence.ts'
import { addNodeEvidence, addPresentImage, applyNodePlatform } from './node-evidence.ts'
import { type OpenShiftFacts, openShiftFacts } from './openshift-evidence.ts'
import { pullSecretNames, readPodCredentials } from './pod-credentials.ts'
import type { ProbeCredential, Prober } from './registry-prober.ts'
import { suggestionsFor } from './suggestions.ts'

/** The pods to diagnose. */
export interface PodScope {
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  readonly includes: (pod: KubeObject) => boolean
}

/** Evidence from outside the API server; what is null or missing is not used. */
export interface DiagnosisSources {
  readonly prober?: Prober | null
  readonly fallback?: FallbackCheck | null
  /** Milliseconds since the epoch, to compare with expiry times. */
  readonly now?: () => number
}

/** Diagnoses every failing pull of the scope. Throws KubeError when pods cannot be listed; verdicts say which other objects could not be read. */
export async function diagnoseCluster(
  api: KubeApi,
  scope: PodScope,
  sources: DiagnosisSources = {},
): Promise<DiagnosedFailure[]> {
  const where = {
    apiVersion: 'v1',
    ...(scope.namespace === undefined ? {} : { namespace: scope.namespace }),
  }
  const failing: FailingPull[] = []
  const events = await readPodEvents(api, where)
  for await (const pod of api.list<KubeObject>({ ...where, resource: 'pods' })) {
    if (!scope.includes(pod)) continue
    const podEvents = events.get(pod.metadata.uid ?? '') ?? []
    for (const failure of pullFailures(pod, podEvents)) failing.push({ pod, failure })
  }
  return diagnosePulls(api, failing, sources)
}

/** A failing pull and its pod. */
export interface FailingPull {
  readonly pod: KubeObject
  readonly failure: PullFailure
}

/** Diagnoses known failures. Reads each object once. Throws KubeError. */
export function diagnosePulls(
  api: KubeApi,
  failing: readonly FailingPull[],
  sources: DiagnosisSources,
): Promise<DiagnosedFailure[]> {
  const read = createObjectReader(api)
  return Promise.all(
    failing.map(async ({ pod, failure }) => ({
      failure,
      verdict: await diagnosePull({ api, read, sources }, pod, failure),
    })),
  )
}

/**
 * Returns a function that diagnoses known failures one by one and reads each object once. It probes no registry. With
 * `readSecrets: false`, the verdict on a pod that names pull secrets rests on the message.
 */
export function createDiagnoser(
  api: KubeApi,
  readSecrets: boolean,
): (pod: KubeObject, failure: PullFailure) => Promise<PullVerdict> {
  const read = createObjectReader(api)
  return async (pod, { message, image }) => {
    const hasSecrets = pullSecretNames(member(pod, 'spec')).length > 0
    if (hasSecrets && !readSecrets) return diagnoseMessage(message, null)
    const reference = referenceOf(image)
    const { credentials } = await readPodCredentials(read, pod, {
      reference,
      now: Date.now(),
      readsOwners: false,
    })
    return diagnoseMessage(message, credentials)
  }
}

interface Context {
  readonly api: KubeApi
  readonly read: ObjectReader
  readonly sources: DiagnosisSources
}

async function diagnosePull(
  context: Context,
  pod: KubeObject,
  failure: PullFailure,
): Promise<PullVerdict> {
  const { read, sources } = context
  const reference = referenceOf(failure.image)
  const now = sources.now?.() ?? Date.now()
  const { keyring, credentials } = await readPodCredentials(read, pod, {
    reference,
    now,
    readsOwners: true,
  })
  const fromMessage = diagnoseMessage(failure.message, credentials)
  const { verdict, node } = await applyNode(read, fromMessage, failure)
  if (reference === null) return verdict
  const probed = await applyRegistry(context, verdict, { reference, keyring, node })
  const berth = (await sources.fallback?.(probed, failure, pod)) ?? []
  const { rule, fix } = probed
  return {
    ...probed,
    // Evidence can have changed the rule.
    fix: fix === rule.fix ? fixOf(rule, failure.message, reference.domain) : fix,
    berth: berth.length > 0 ? berth : suggestionsFor(probed.rule, failure.image),
  }
}

/** Reads the node if it can say something about the rule. */
async function applyNode(
  read: ObjectReader,
  verdict: PullVerdict,
  failure: PullFailure,
): Promise<{ readonly verdict: PullVerdict; readonly node: unknown }> {
  const { node: name, image } = failure
  const { readsNode, topic } = verdict.rule
  const isAboutAccess = topic === 'access' || topic === 'pull-secret'
  if (name === null || !(readsNode || isAboutAccess)) return { verdict, node: null }
  const node = await read('nodes', '', name)
  if (!readsNode) return { verdict: addPresentImage(verdict, node, image), node: null }
  if (node !== 'unreadable') return { verdict: addNodeEvidence(verdict, node, failure), node }
  const missing = [...verdict.missing, `you may not read node ${name}`]
  return { verdict: { ...verdict, missing }, node }
}

interface FailingImage {
  readonly reference: Reference
  readonly keyring: Keyring
  readonly node: unknown
}

/** Probes the registry with the pod's credentials and, where no secret of the pod is for the image, with OpenShift's global pull secret. */
async function applyRegistry(
  { api, sources: { prober } }: Context,
  verdict: PullVerdict,
  { reference, keyring, node }: FailingImage,
): Promise<PullVerdict> {
  const ofPod = podCredentials(keyring, reference)
  const noneMatches = ofPod.length === 0 && verdict.wantedKey !== null
  const openShift = noneMatches ? await openShiftFacts(api, reference) : null
  const globalCredentials = (openShift?.credentials ?? []).map((each): ProbeCredential => ({
    ...each,
    by: 'other',
    secret: null,
  }))
  const known = addOpenShiftEvidence(verdict, openShift)
  const report =
    (await prober?.probe(reference, verdict.rule, [...ofPod, ...globalCredentials])) ?? null
  const probed =
    report === null ? known : applyNodePlatform(applyProbe(known, report), node, report)
  const fix = openShift?.fix ?? null
  return fix !== null && probed.rule.topic === 'access' ? { ...probed, fix } : probed
}

function addOpenShiftEvidence(verdict: PullVerdict, facts: OpenShiftFacts | null): PullVerdict {
  return facts === null
    ? verdict
    : { ...verdict, evidence: [...verdict.evidence, ...facts.evidence] }
}

/** The credentials that the kubelet would send, each once and with the name of its secret. */
function podCredentials(keyring: Keyring, reference: Reference): ProbeCredential[] {
  const { candidates } = credentialOrder(keyring, reference)
  return candidateCredentials(keyring, reference).flatMap((credential, index) => {
    const candidate = candidates[index]
    return candidate === undefined || candidate.isAnonymous || candidate.repeats !== null
      ? []
      : [{ ...credential, by: 'pod', secret: candidate.secret }]
  })
}

function referenceOf(image: string): Reference | null {
  const parsed = parseReference(image)
  return parsed.ok ? parsed.reference : null
}
