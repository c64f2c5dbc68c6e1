/** Plans the steps of `berth diagnose --fix` for pods that lack a pull secret. Reads the API server and writes nothing. */
import { pullSecretNames, serviceAccountName } from '../evidence/pod-credentials.ts'
import type { DiagnosedFailure } from '../findings.ts'
import type { PullFailure } from '../pull-failure.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import { controllerOf, recreateObstacle } from '../../kube/pod-owner.ts'
import { member } from '../../json/json.ts'
import { optOutLabel, optOutValue } from '../../pull-secrets/labels.ts'
import { secretOfTemplate } from '../../pull-secrets/stuck-pods.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import type { Reference } from '../../decision/reference/reference.ts'
import {
  chooseCopySource,
  hasCredentialFor,
  hasSameContent,
  readCopySources,
  type StoredSecret,
} from './copy-source.ts'
import {
  type CopySource,
  type FixPlan,
  type FixStep,
  type LeftPod,
  type PlannedStep,
  type SecretName,
  stepKey,
  type StepKind,
} from './steps.ts'

type Api = Pick<KubeApi, 'get' | 'list'>

/** A failing image and what the cluster says about its pod. */
interface FailingImage {
  readonly pod: KubeObject
  readonly namespace: string
  readonly reference: Reference
  readonly account: string
  /** The `imagePullSecrets` of the service account and of the pod. */
  readonly accountSecrets: readonly string[]
  readonly podSecrets: readonly string[]
}

/** The steps for one failing image; `left` says what remains for a person to do, null when nothing remains. */
interface FixSteps {
  readonly steps: readonly FixStep[]
  readonly left: string | null
}

const stepOrder: readonly StepKind[] = ['copy', 'link', 'recreate']

/**
 * Returns the steps, and the pods that stay unfixed. `named` is the secret that the caller named, or null. Throws
 * `usage` when that secret does not exist, and KubeError when the API server does not answer.
 */
export async function planFix(
  api: Api,
  diagnosed: readonly DiagnosedFailure[],
  named: SecretName | null,
): Promise<FixPlan> {
  const isFixable = ({ verdict, failure }: DiagnosedFailure) =>
    verdict.rule.secretFix !== undefined && failure.field !== null
  const fixable = diagnosed.filter(isFixable)
  const left: LeftPod[] = diagnosed
    .filter((each) => !isFixable(each))
    .map(({ failure, verdict }) => ({
      namespace: failure.namespace,
      pod: failure.pod,
      why:
        verdict.rule.secretFix === undefined
          ? verdict.rule.fix
          : `the kubelet's message is about ${failure.image}, which the pod does not have`,
    }))
  const sources = fixable.length === 0 ? [] : await readCopySources(api, named)
  const plan = new Map<string, PlannedStep>()
  for (const each of fixable) {
    const { namespace, pod } = each.failure
    const planned = await stepsFor(api, each, sources)
    if (planned.steps.some((step) => isConflict(step, plan.get(stepKey(step))?.step))) {
      const why = `another secret with this name is copied there in this run; name one with --secret`
      left.push({ namespace, pod, why })
      continue
    }
    for (const [index, step] of planned.steps.entries()) {
      const before = plan.get(stepKey(step))
      const needs = [...(before?.needs ?? []), ...planned.steps.slice(0, index)]
      plan.set(stepKey(step), { step: before?.step ?? step, needs })
    }
    if (planned.left !== null) left.push({ namespace, pod, why: planned.left })
  }
  const steps = [...plan.values()].toSorted(
    (one, other) => stepOrder.indexOf(one.step.do) - stepOrder.indexOf(other.step.do),
  )
  return { steps, left: [...new Map(left.map((one) => [JSON.stringify(one), one])).values()] }
}

/** True if both steps copy to the same name from different secrets. */
function isConflict(step: FixStep, planned: FixStep | undefined): boolean {
  return step.do === 'copy' && planned?.do === 'copy' && !isSameName(planned.from, step.from)
}

function isSameName(one: SecretName, other: SecretName): boolean {
  return one.namespace === other.namespace && one.name === other.name
}

async function stepsFor(
  api: Api,
  diagnosed: DiagnosedFailure,
  sources: readonly CopySource[] | null,
): Promise<FixSteps> {
  const image = await readFailingImage(api, diagnosed.failure)
  if (typeof image === 'string') return nothingToDo(image)
  const { rule, secrets } = diagnosed.verdict
  if (rule.secretFix === 'recreate') return recreateSteps(api, image)
  const isNamedByPod = rule.secretFix === 'copy'
  const source = chooseCopySource(sources, {
    reference: image.reference,
    preferredNames: isNamedByPod ? secrets : [],
  })
  if (typeof source === 'string') return nothingToDo(source)
  // The pod names the secret already: the kubelet looks for it at every try, so the copy is enough.
  if (isNamedByPod)
    return copySteps(
      api,
      image,
      source,
      secrets.includes(source.name) ? source.name : (secrets[0] ?? source.name),
    )
  const templateSecret = secretOfTemplate(image.podSecrets, image.accountSecrets)
  if (templateSecret !== undefined)
    return nothingToDo(
      `its template sets imagePullSecrets (${templateSecret}), so the list of the service account is not used: add ${source.name} to the template`,
    )
  return copyAndLinkSteps(api, image, source)
}

function nothingToDo(left: string): FixSteps {
  return { steps: [], left }
}

/** Returns the image with its pod and service account, or the reason why nothing can be done. */
async function readFailingImage(
  api: Api,
  { namespace, pod: name, image }: PullFailure,
): Promise<FailingImage | string> {
  const where = { apiVersion: 'v1', namespace }
  const pod = await api.get<KubeObject>({ ...where, resource: 'pods', name })
  const parsed = parseReference(image)
  if (pod === null || pod.metadata.deletionTimestamp !== undefined)
    return 'it is terminating or deleted'
  if (!parsed.ok) return 'its image name is not valid'
  const spec = member(pod, 'spec')
  const account = serviceAccountName(spec)
  try {
    const found = await api.get({ ...where, resource: 'serviceaccounts', name: account })
    if (found === null) return `its service account ${account} does not exist`
    const accountSecrets = namedSecrets(found)
    const podSecrets = namedSecrets(spec)
    const { reference } = parsed
    return { pod, namespace, reference, account, accountSecrets, podSecrets }
  } catch (error) {
    if (hasStatus(error, 403)) return `you may not read its service account ${account}`
    throw error
  }
}

/** Copies the source to the pod's namespace as `name`, unless a secret with the same content is there. */
async function copySteps(
  api: Api,
  { namespace }: FailingImage,
  source: CopySource,
  name: string,
): Promise<FixSteps> {
  if (isSameName({ namespace, name }, source)) return { steps: [], left: null }
  const existing = await api.get<StoredSecret>({
    apiVersion: 'v1',
    resource: 'secrets',
    namespace,
    name,
  })
  if (existing === null && (await isOptedOut(api, namespace)))
    return nothingToDo(
      `namespace ${namespace} opts out of copies (label ${optOutLabel}: ${optOutValue})`,
    )
  if (existing === null)
    return { steps: [{ do: 'copy', namespace, secret: name, from: source }], left: null }
  if (hasSameContent(existing, source.secret)) return { steps: [], left: null }
  return nothingToDo(
    `secret ${name} already exists and differs from ${source.namespace}/${source.name}`,
  )
}

/** A caller who may not read the namespace can still be allowed to write to it, and the API server decides that. */
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

async function copyAndLinkSteps(
  api: Api,
  image: FailingImage,
  source: CopySource,
): Promise<FixSteps> {
  const { namespace, account, accountSecrets } = image
  const copy = await copySteps(api, image, source, source.name)
  if (copy.left !== null) return copy
  const link: FixStep = { do: 'link', namespace, account, secret: source.name }
  const needsLink = !accountSecrets.includes(source.name)
  return thenRecreate(image, [...copy.steps, ...(needsLink ? [link] : [])])
}

/** The service account has a secret for the image and the pod does not: a recreated pod gets it. */
async function recreateSteps(api: Api, image: FailingImage): Promise<FixSteps> {
  const { namespace, reference, accountSecrets } = image
  const templateSecret = secretOfTemplate(image.podSecrets, image.accountSecrets)
  if (templateSecret !== undefined)
    return nothingToDo(
      `its template sets imagePullSecrets (${templateSecret}): add the secret to the template`,
    )
  for (const name of accountSecrets) {
    const where = { apiVersion: 'v1', resource: 'secrets', namespace, name }
    const found = await api.get<StoredSecret>(where)
    if (found !== null && hasCredentialFor(found, reference)) return thenRecreate(image, [])
  }
  return nothingToDo(`none of its service account's pull secrets is for ${reference.domain}`)
}

/** Adds the recreation of the pod: its `imagePullSecrets` are immutable. */
function thenRecreate({ pod, namespace }: FailingImage, steps: readonly FixStep[]): FixSteps {
  const { name, uid = '' } = pod.metadata
  const owner = controllerOf(pod.metadata)
  const obstacle = recreateObstacle(owner)
  if (obstacle !== null || owner === null) return { steps, left: obstacle }
  const by = `${owner.kind}/${owner.name}`
  return { steps: [...steps, { do: 'recreate', namespace, pod: name, uid, owner: by }], left: null }
}

function namedSecrets(holder: unknown): string[] {
  return pullSecretNames(holder).filter((name) => name !== '')
}
