/** What would help pods that lack a pull secret, and is safe. Asks the API server, and writes nothing. */
import { readKeyring, type PullSecret } from '../../credentials/keyring.ts'
import { pullOrder } from '../../credentials/pull-order.ts'
import type { Judged } from '../findings.ts'
import { BerthError } from '../../errors.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject, OwnerReference } from '../../kube/object.ts'
import { isObject, member } from '../../json/json.ts'
import {
  consentLabel,
  consentValue,
  expiresAnnotation,
  optOutLabel,
  optOutValue,
} from '../../pull-secrets/labels.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import type { Reference } from '../../decision/reference/reference.ts'
import type { FixPlan, LeftPod, PlannedStep, SecretName, Source, FixStep } from './steps.ts'

type Api = Pick<KubeApi, 'get' | 'list'>
export type StoredSecret = KubeObject & PullSecret

/** Causes that a pull secret cures: the kubelet had no credential for the image. */
const curable: ReadonlySet<string> = new Set(['D05', 'D06', 'D07', 'D08', 'D09', 'D22', 'D26'])

/** What is known of one failing image when it is planned for. */
interface FailingImage {
  readonly pod: KubeObject
  readonly namespace: string
  readonly judged: Judged
  readonly reference: Reference
  readonly account: string
  /** The lists of the service account and of the pod. */
  readonly accountSecrets: readonly string[]
  readonly podSecrets: readonly string[]
}

/** Steps of a patient, or why there are none. */
type FixSteps = { readonly steps: readonly FixStep[]; readonly left: string | null }

/** Throws KubeError when the API server does not answer, and when `named` may not be read; `named` is null where nobody gave one. */
export async function planFix(
  api: Api,
  judged: readonly Judged[],
  named: SecretName | null,
): Promise<FixPlan> {
  const helped = judged.filter(({ verdict }) => curable.has(verdict.cause.rule))
  const left: LeftPod[] = judged
    .filter((each) => !helped.includes(each))
    .map(({ failure: { namespace, pod }, verdict }) => ({ namespace, pod, why: verdict.cause.fix }))
  const sources = helped.length === 0 ? [] : await sourcesOf(api, named)
  const plan = new Map<string, PlannedStep>()
  for (const each of helped) {
    const { namespace, pod } = each.failure
    const remedy = await remedyFor(api, each, sources)
    const clash = remedy.steps.find((step) => isTaken(plan, step))
    if (clash !== undefined) {
      const why = `another secret of the name is copied there in this run; name one with --secret`
      left.push({ namespace, pod, why })
      continue
    }
    for (const [index, step] of remedy.steps.entries()) {
      const before = plan.get(keyOf(step))
      const needs = [...(before?.needs ?? []), ...remedy.steps.slice(0, index)]
      plan.set(keyOf(step), { step: before?.step ?? step, needs })
    }
    if (remedy.left !== null) left.push({ namespace, pod, why: remedy.left })
  }
  const order = ['copy', 'link', 'recreate']
  const steps = [...plan.values()].toSorted(
    (one, other) => order.indexOf(one.step.do) - order.indexOf(other.step.do),
  )
  return { steps, left: [...new Map(left.map((one) => [JSON.stringify(one), one])).values()] }
}

export function keyOf(step: FixStep): string {
  const { namespace } = step
  if (step.do === 'copy') return `copy ${namespace}/${step.secret}`
  if (step.do === 'link') return `link ${namespace}/${step.account} ${step.secret}`
  return `recreate ${namespace}/${step.pod}`
}

function isTaken(plan: ReadonlyMap<string, PlannedStep>, step: FixStep): boolean {
  const before = plan.get(keyOf(step))?.step
  return step.do === 'copy' && before?.do === 'copy' && !isEqual(before.from, step.from)
}

function isEqual(one: SecretName, other: SecretName): boolean {
  return one.namespace === other.namespace && one.name === other.name
}

/** Null when nobody was named and secrets of other namespaces may not be listed. */
async function sourcesOf(api: Api, named: SecretName | null): Promise<Source[] | null> {
  if (named !== null) {
    const found = await api.get<StoredSecret>({ apiVersion: 'v1', resource: 'secrets', ...named })
    if (found !== null) return [sourceOf(found)]
    throw new BerthError('usage', `there is no secret ${named.namespace}/${named.name}`)
  }
  const sources: Source[] = []
  try {
    const secrets = { apiVersion: 'v1', resource: 'secrets' }
    const selection = { labelSelector: `${consentLabel}=${consentValue}` }
    for await (const found of api.list<StoredSecret>(secrets, selection))
      if (found.metadata.deletionTimestamp === undefined) sources.push(sourceOf(found))
  } catch (error) {
    if (hasStatus(error, 403)) return null
    throw error
  }
  return sources
}

function sourceOf(secret: StoredSecret): Source {
  const { namespace = '', name, annotations = {} } = secret.metadata
  return { namespace, name, secret, expiresAt: annotations[expiresAnnotation] ?? null }
}

async function remedyFor(
  api: Api,
  judged: Judged,
  sources: readonly Source[] | null,
): Promise<FixSteps> {
  const patient = await examine(api, judged)
  if (typeof patient === 'string') return nothing(patient)
  const { rule } = judged.verdict.cause
  if (rule === 'D08') return whenLinked(api, patient)
  const source = choose(patient, sources)
  if (typeof source === 'string') return nothing(source)
  if (rule === 'D05') return withCopy(api, patient, source, missingName(judged, source))
  const own = ownEntry(patient)
  if (own !== undefined)
    return nothing(
      `its list of pull secrets is its template's own (${own}), so the service account's is not used: add ${source.name} there`,
    )
  return withLink(api, patient, source)
}

function nothing(left: string): FixSteps {
  return { steps: [], left }
}

/** Why nothing can be done, in place of a patient, where there is no such pod any more or its account cannot be read. */
async function examine(api: Api, judged: Judged): Promise<FailingImage | string> {
  const { namespace, pod: name, image } = judged.failure
  const at = { apiVersion: 'v1', namespace }
  const pod = await api.get<KubeObject>({ ...at, resource: 'pods', name })
  const parsed = parseReference(image)
  if (pod === null || pod.metadata.deletionTimestamp !== undefined) return 'it is on its way out'
  if (!parsed.ok) return 'its image is no valid name'
  const spec = member(pod, 'spec')
  const named = member(spec, 'serviceAccountName')
  const account = typeof named === 'string' ? named : 'default'
  try {
    const found = await api.get({ ...at, resource: 'serviceaccounts', name: account })
    if (found === null) return `its service account ${account} is not there`
    const accountSecrets = namesOf(found)
    const podSecrets = namesOf(spec)
    const { reference } = parsed
    return { pod, namespace, judged, reference, account, accountSecrets, podSecrets }
  } catch (error) {
    if (hasStatus(error, 403)) return `its service account ${account} may not be read by you`
    throw error
  }
}

/** A pull secret as the whole of a list: whether the kubelet would send a credential of it for this image. */
function isFor(secret: PullSecret, reference: Reference): boolean {
  const order = pullOrder(
    readKeyring(['one'], () => secret),
    reference,
  )
  return order.candidates.some(({ isAnonymous }) => !isAnonymous)
}

/** The one source for the image; in its place, why there is none. */
function choose(
  { judged, reference }: FailingImage,
  sources: readonly Source[] | null,
): Source | string {
  const { domain } = reference
  if (sources === null)
    return `secrets of other namespaces may not be listed by you: name one for ${domain} with --secret NAMESPACE/NAME`
  const fitting = sources.filter(({ secret }) => isFor(secret, reference))
  const live = fitting.filter(({ expiresAt }) => !(Date.parse(expiresAt ?? '') <= Date.now()))
  const namesakes = live.filter(({ name }) => judged.verdict.secrets.includes(name))
  const isMissing = judged.verdict.cause.rule === 'D05' && namesakes.length > 0
  const [first, ...others] = isMissing ? namesakes : live
  if (first === undefined && fitting.length > 0)
    return `the credentials of ${listed(fitting)} have ended: renew them`
  if (first === undefined)
    return `no secret for ${domain} may be copied: label one ${consentLabel}=${consentValue}, or name one that is for it with --secret NAMESPACE/NAME`
  if (others.some(({ secret }) => contentOf(secret) !== contentOf(first.secret)))
    return `several secrets are for ${domain} (${listed([first, ...others])}): name one with --secret NAMESPACE/NAME`
  return first
}

function listed(sources: readonly SecretName[]): string {
  return sources.map(({ namespace, name }) => `${namespace}/${name}`).join(', ')
}

/** Bytes that two secrets have in common when they are copies of each other. */
export function contentOf({ type = '', data = {} }: PullSecret): string {
  return JSON.stringify([type, data['.dockerconfigjson'] ?? data['.dockercfg'] ?? ''])
}

function missingName({ verdict: { secrets } }: Judged, { name }: Source): string {
  return secrets.includes(name) ? name : (secrets[0] ?? name)
}

/** The pod names the secret already, so nothing but the secret is needed: the kubelet looks for it at every try. */
async function withCopy(
  api: Api,
  patient: FailingImage,
  source: Source,
  name: string,
): Promise<FixSteps> {
  const { namespace } = patient
  if (isEqual({ namespace, name }, source)) return { steps: [], left: null }
  const there = await api.get<StoredSecret>({
    apiVersion: 'v1',
    resource: 'secrets',
    namespace,
    name,
  })
  if (there === null && (await isOptedOut(api, namespace)))
    return nothing(`namespace ${namespace} wants no copies: its label ${optOutLabel} says so`)
  if (there === null)
    return { steps: [{ do: 'copy', namespace, secret: name, from: source }], left: null }
  if (contentOf(there) === contentOf(source.secret)) return { steps: [], left: null }
  return nothing(
    `there is a secret ${name} already, which is another than ${source.namespace}/${source.name}`,
  )
}

/** Who may not read the namespace may still write to it, and is the one who decides. */
async function isOptedOut(api: Api, name: string): Promise<boolean> {
  try {
    const where = { apiVersion: 'v1', resource: 'namespaces', name }
    const found = await api.get<KubeObject>(where, { metadataOnly: true })
    return found?.metadata.labels?.[optOutLabel] === optOutValue
  } catch (error) {
    if (hasStatus(error, 403)) return false
    throw error
  }
}

async function withLink(api: Api, patient: FailingImage, source: Source): Promise<FixSteps> {
  const { namespace, account, accountSecrets } = patient
  const copy = await withCopy(api, patient, source, source.name)
  if (copy.left !== null) return copy
  const link: FixStep = { do: 'link', namespace, account, secret: source.name }
  const linked = accountSecrets.includes(source.name) ? [] : [link]
  return withPod(patient, [...copy.steps, ...linked])
}

/** The service account names what the pod lacks; a pod that is made now gets it. */
async function whenLinked(api: Api, patient: FailingImage): Promise<FixSteps> {
  const { namespace, reference, accountSecrets } = patient
  const own = ownEntry(patient)
  if (own !== undefined)
    return nothing(`its list of pull secrets is its template's own (${own}): add the secret there`)
  for (const name of accountSecrets) {
    const where = { apiVersion: 'v1', resource: 'secrets', namespace, name }
    const found = await api.get<StoredSecret>(where)
    if (found !== null && isFor(found, reference)) return withPod(patient, [])
  }
  return nothing(`none of its service account's pull secrets is for ${reference.domain}`)
}

/** A list that was copied from the service account has no other names. */
function ownEntry({ podSecrets, accountSecrets }: FailingImage): string | undefined {
  return podSecrets.find((name) => !accountSecrets.includes(name))
}

/** A pod's list is fixed when it is made, so whoever owns it has to make it again. */
function withPod({ pod, namespace }: FailingImage, steps: readonly FixStep[]): FixSteps {
  const { name, uid = '', ownerReferences = [] } = pod.metadata
  const owner = ownerReferences.find(({ controller }) => controller === true)
  const obstacle = obstacleOf(owner)
  if (obstacle !== null || owner === undefined) return { steps, left: obstacle }
  const by = `${owner.kind}/${owner.name}`
  return { steps: [...steps, { do: 'recreate', namespace, pod: name, uid, owner: by }], left: null }
}

function obstacleOf(owner: OwnerReference | undefined): string | null {
  if (owner === undefined || owner.kind === 'Node')
    return 'nobody makes it again: delete it and make it anew'
  // An evicted pod counts as a failure of its Job, which may be the last that it is allowed (backoffLimit).
  if (owner.kind === 'Job')
    return `Job ${owner.name} would count an eviction as a failure: delete the pod`
  return null
}

function namesOf(holder: unknown): string[] {
  const list = member(holder, 'imagePullSecrets')
  return Array.isArray(list)
    ? list
        .filter(isObject)
        .flatMap(({ name }) => (typeof name === 'string' && name !== '' ? [name] : []))
    : []
}
