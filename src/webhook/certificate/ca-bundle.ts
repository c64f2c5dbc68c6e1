/** The caBundles of the webhook configuration: which ones the API server needs updated, and the update. */
import type { KubeApi } from '../../kube/api-client.ts'
import type { KubeObject, ResourceRef } from '../../kube/object.ts'
import { isTrusted } from './rotation.ts'

interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly WebhookEntry[]
}

interface WebhookEntry {
  readonly name: string
  readonly clientConfig?: { readonly caBundle?: string }
}

/** A webhook configuration, and the webhooks in it whose caBundle differs from the wanted one. */
export interface StaleWebhooks {
  readonly configuration: string
  readonly resourceVersion: string | undefined
  readonly webhooks: readonly WebhookEntry[]
}

export const webhookConfigurations: ResourceRef = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  resource: 'mutatingwebhookconfigurations',
}

/** Reads the configuration. Without one, no webhook is stale: its author has to apply it first. */
export async function findStaleWebhooks(
  api: KubeApi,
  configuration: string,
  { bundle, signal }: { readonly bundle: string; readonly signal: AbortSignal },
): Promise<StaleWebhooks> {
  const ref = { ...webhookConfigurations, name: configuration }
  const live = await api.get<WebhookConfiguration>(ref, { signal })
  const caBundle = toBase64(bundle)
  return {
    configuration,
    resourceVersion: live?.metadata.resourceVersion,
    webhooks: (live?.webhooks ?? []).filter(
      ({ clientConfig }) => clientConfig?.caBundle !== caBundle,
    ),
  }
}

/** Returns why the API server would not accept the certificate now; null when it would. */
export function whyUntrusted({ webhooks }: StaleWebhooks, certificate: string): string | null {
  const now = new Date()
  const untrusting = webhooks.find(({ clientConfig }) => {
    const bundle = Buffer.from(clientConfig?.caBundle ?? '', 'base64').toString('utf8')
    return !isTrusted(certificate, bundle, now)
  })
  return untrusting === undefined
    ? null
    : `the caBundle of webhook ${untrusting.name} does not trust the serving certificate`
}

/** Sets the caBundle of the stale webhooks, each by its name, and nothing else. Rejects with 409 if the configuration changed. */
export async function updateBundles(
  api: KubeApi,
  { configuration, resourceVersion, webhooks }: StaleWebhooks,
  { bundle, signal }: { readonly bundle: string; readonly signal: AbortSignal },
): Promise<void> {
  const caBundle = toBase64(bundle)
  await api.patch(
    { ...webhookConfigurations, name: configuration },
    'strategic',
    {
      metadata: { resourceVersion },
      webhooks: webhooks.map(({ name }) => ({ name, clientConfig: { caBundle } })),
    },
    { signal },
  )
}

function toBase64(text: string): string {
  return Buffer.from(text).toString('base64')
}
