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
  /** The API server does not call Berth. */
  | { readonly mode: 'out'; readonly why: string }

/** Returns how Berth treats a new pod like this one. */
export type FindAdmissionMode = (pod: KubeObject) => AdmissionMode

/** A webhook with its selectors. */
interface Webhook {
  readonly name: unknown
  readonly namespaceSelector?: unknown
  readonly objectSelector?: unknown
}

/** The name of Berth's MutatingWebhookConfiguration (`webhook-config/mutating-webhook.yaml`). */
export const webhookConfiguration: ResourceRef = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  resource: 'mutatingwebhookconfigurations',
  name: 'berth',
}

/**
 * Reads the namespaces and the webhook configuration. If Berth is not installed, or the configuration may not be read, the
 * selectors of the shipped configuration count. `list` finds it under any name; `get` needs fewer rights. Throws KubeError.
 */
export async function readAdmissionModes(
  api: KubeApi,
  berthNamespace: string,
  verb: 'list' | 'get' = 'list',
): Promise<FindAdmissionMode> {
  const installed = readWebhooks(
    verb === 'list'
      ? await listConfigurations(api)
      : [(await api.get<KubeObject>(webhookConfiguration)) ?? []].flat(),
  )
  const webhooks = installed.length > 0 ? installed : shippedWebhooks(berthNamespace)
  const namespaceLabels = new Map<string, Readonly<Record<string, string>>>()
  const namespaces = { apiVersion: 'v1', resource: 'namespaces' }
  for await (const { metadata } of api.list(namespaces, { metadataOnly: true })) {
    const { name, labels } = metadata
    // The API server sets this label.
    namespaceLabels.set(name, { 'kubernetes.io/metadata.name': name, ...labels })
  }
  return (pod) => {
    if (isMirrorPod(pod)) return { mode: 'out', why: 'a static pod, which no webhook can change' }
    const labels = namespaceLabels.get(pod.metadata.namespace ?? '') ?? {}
    const selected = webhooks.filter(({ namespaceSelector }) =>
      // The API server defaults a missing selector to {}, which selects everything.
      matchesSelector(parseLabelSelector(namespaceSelector ?? {}), labels),
    )
    if (selected.length === 0) return { mode: 'out', why: 'the namespace is excluded' }
    const calls = selected.filter(({ objectSelector }) =>
      matchesSelector(parseLabelSelector(objectSelector ?? {}), readLabels(pod)),
    )
    if (calls.length === 0) return { mode: 'out', why: 'the pod is excluded by its labels' }
    return { mode: calls.some(({ name }) => name === enforcing) ? 'enforce' : 'observe' }
  }
}

const enforcing = 'mutate.berth.dev'
const observing = 'observe.berth.dev'

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
    .map(({ name, namespaceSelector, objectSelector }) => ({
      name,
      namespaceSelector,
      objectSelector,
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
  return [
    { name: enforcing, namespaceSelector: { matchExpressions: [...isNotOut, observes('NotIn')] } },
    { name: observing, namespaceSelector: { matchExpressions: [...isNotOut, observes('In')] } },
  ]
}
