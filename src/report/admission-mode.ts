/** Determines which pods the API server sends to Berth, from the webhook configuration of the cluster. */
import { matchesSelector, parseLabelSelector } from '../decision/labels/label-selector.ts'
import { readLabels } from '../decision/pod/pod-context.ts'
import { isMirrorPod } from '../decision/pod/sites.ts'
import { objectsMember } from '../json/json.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { hasStatus } from '../kube/error.ts'
import type { KubeObject, ResourceRef } from '../kube/object.ts'
import { excludedNamespaces } from '../config/copy-settings.ts'

export type AdmissionMode =
  | { readonly mode: 'enforce' | 'observe' }
  /** `out`: the API server does not call Berth. `unknown`: it may call Berth. */
  | { readonly mode: 'out' | 'unknown'; readonly why: string }

/** Returns how Berth treats a new pod like this one. */
export type FindAdmissionMode = (pod: KubeObject) => AdmissionMode

export interface AdmissionModes {
  readonly find: FindAdmissionMode
  /** Returns true if Berth changes new pods of the namespace, unless their labels exclude them. */
  readonly enforces: (namespace: string) => boolean
}

/** A webhook with what selects its pods. */
interface Webhook {
  readonly name: unknown
  readonly namespaceSelector?: unknown
  readonly objectSelector?: unknown
  /** The CEL expressions of its matchConditions. */
  readonly conditions: readonly unknown[]
}

type NamespaceLabels = ReadonlyMap<string, Readonly<Record<string, string>>>

/** The name of Berth's MutatingWebhookConfiguration (`webhook-config/mutating-webhook.yaml`). */
const webhookConfiguration = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  resource: 'mutatingwebhookconfigurations',
  name: 'berth',
} as const satisfies ResourceRef

/**
 * Reads the namespaces and the webhook configuration. If Berth is not installed, or the configuration may not be read, the
 * selectors of the shipped configuration count. `list` finds it under any name; `get` needs fewer rights. Throws KubeError.
 */
export async function readAdmissionModes(
  api: KubeApi,
  berthNamespace: string,
  verb: 'list' | 'get' = 'list',
): Promise<AdmissionModes> {
  const configurations =
    verb === 'list' ? await listConfigurations(api) : await getConfiguration(api)
  const installed = readWebhooks(configurations)
  // The configuration has no webhooks while Helm removes Berth.
  const isInstalled =
    installed.length > 0 ||
    configurations.some(({ metadata: { name } }) => name === webhookConfiguration.name)
  const webhooks = isInstalled ? installed : shippedWebhooks(berthNamespace)
  const labels = await readNamespaceLabels(api)
  const withoutLabels = webhooks.map((each) => ({ ...each, objectSelector: {} }))
  const enforced = new Map<string, boolean>()
  return {
    find: (pod) => findMode(webhooks, labels, pod),
    enforces(namespace) {
      const known = enforced.get(namespace)
      if (known !== undefined) return known
      const { mode } = findMode(withoutLabels, labels, { metadata: { name: '', namespace } })
      enforced.set(namespace, mode === 'enforce')
      return mode === 'enforce'
    },
  }
}

/** Returns how the installed Berth treats a new pod like this one now. Throws KubeError. */
export async function readAdmissionMode(api: KubeApi, pod: KubeObject): Promise<AdmissionMode> {
  const webhooks = readWebhooks(await getConfiguration(api))
  return findMode(webhooks, await readNamespaceLabels(api, pod.metadata.namespace), pod)
}

/** Without a name, reads all namespaces. A list of one needs no other right than a list of all. */
async function readNamespaceLabels(api: KubeApi, only?: string): Promise<NamespaceLabels> {
  const namespaceLabels = new Map<string, Readonly<Record<string, string>>>()
  const namespaces = { apiVersion: 'v1', resource: 'namespaces' }
  const fieldSelector = only === undefined ? undefined : `metadata.name=${only}`
  for await (const { metadata } of api.list(namespaces, { fieldSelector, metadataOnly: true })) {
    const { name, labels } = metadata
    // The API server sets this label.
    namespaceLabels.set(name, { 'kubernetes.io/metadata.name': name, ...labels })
  }
  return namespaceLabels
}

function findMode(
  webhooks: readonly Webhook[],
  namespaceLabels: NamespaceLabels,
  pod: KubeObject,
): AdmissionMode {
  if (isMirrorPod(pod)) return { mode: 'out', why: 'a static pod, which no webhook can change' }
  if (webhooks.length === 0) return { mode: 'out', why: 'no webhook of Berth is registered' }
  const { namespace = '' } = pod.metadata
  const labels = namespaceLabels.get(namespace) ?? {}
  const selected = webhooks.filter(
    ({ namespaceSelector, conditions }) =>
      // The API server defaults a missing selector to {}, which selects everything.
      matchesSelector(parseLabelSelector(namespaceSelector ?? {}), labels) &&
      conditions.every((each) => evaluate(each, namespace) !== false),
  )
  if (selected.length === 0) return { mode: 'out', why: 'the namespace is excluded' }
  const calls = selected.filter(({ objectSelector }) =>
    matchesSelector(parseLabelSelector(objectSelector ?? {}), readLabels(pod)),
  )
  if (calls.length === 0) return { mode: 'out', why: 'the pod is excluded by its labels' }
  const conditions = calls.flatMap((each) => each.conditions)
  if (conditions.some((each) => evaluate(each, namespace) === null))
    return { mode: 'unknown', why: 'the webhook has matchConditions that Berth cannot evaluate' }
  return { mode: calls.some(({ name }) => name === enforcing) ? 'enforce' : 'observe' }
}

/** Returns whether a matchCondition holds for a new pod that is not static; null for one that Berth does not ship. */
function evaluate(expression: unknown, namespace: string): boolean | null {
  if (typeof expression !== 'string') return null
  const condition = expression.replaceAll(/\s+/g, ' ').trim()
  if (condition === isNotOfPlatform) return !namespace.startsWith('openshift-')
  return condition === isImageNew || condition === isNotMirrorPod ? true : null
}

/** The conditions of `webhook-config/mutating-webhook.yaml` and `deploy/components/openshift`. */
const isNotOfPlatform = "!request.namespace.startsWith('openshift-')"
const isNotMirrorPod =
  "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)"
const isImageNew = [
  "request.operation != 'UPDATE' || (has(request.subResource) && request.subResource != '')",
  "|| object.spec.containers.map(c, has(c.image) ? c.image : '')",
  "!= oldObject.spec.containers.map(c, has(c.image) ? c.image : '')",
  "|| (has(object.spec.initContainers) ? object.spec.initContainers.map(c, has(c.image) ? c.image : '') : [])",
  "!= (has(oldObject.spec.initContainers) ? oldObject.spec.initContainers.map(c, has(c.image) ? c.image : '') : [])",
].join(' ')

const enforcing = 'mutate.berth.dev'
const observing = 'observe.berth.dev'

async function getConfiguration(api: KubeApi): Promise<readonly KubeObject[]> {
  const configuration = await api.get<KubeObject>(webhookConfiguration)
  return configuration === null ? [] : [configuration]
}

async function listConfigurations(api: KubeApi): Promise<readonly KubeObject[]> {
  const { apiVersion, resource } = webhookConfiguration
  const found: KubeObject[] = []
  try {
    for await (const each of api.list<KubeObject>({ apiVersion, resource })) found.push(each)
  } catch (error) {
    if (!hasStatus(error, 403)) throw error
  }
  return found
}

function readWebhooks(configurations: readonly KubeObject[]): readonly Webhook[] {
  return configurations
    .flatMap((each) => objectsMember(each, 'webhooks'))
    .filter(({ name }) => name === enforcing || name === observing)
    .map((webhook) => ({
      name: webhook['name'],
      namespaceSelector: webhook['namespaceSelector'],
      objectSelector: webhook['objectSelector'],
      conditions: objectsMember(webhook, 'matchConditions').map(({ expression }) => expression),
    }))
}

/** The selectors of `webhook-config/mutating-webhook.yaml`. */
function shippedWebhooks(berthNamespace: string): readonly Webhook[] {
  const isNotOut = [
    { key: 'berth.dev/rewrite', operator: 'NotIn', values: ['disabled'] },
    {
      key: 'kubernetes.io/metadata.name',
      operator: 'NotIn',
      values: [...excludedNamespaces, berthNamespace],
    },
  ]
  const observes = (operator: string) => ({
    key: 'berth.dev/mode',
    operator,
    values: ['observe'],
  })
  const webhook = (name: string, operator: string) => ({
    name,
    namespaceSelector: { matchExpressions: [...isNotOut, observes(operator)] },
    conditions: [],
  })
  return [webhook(enforcing, 'NotIn'), webhook(observing, 'In')]
}
