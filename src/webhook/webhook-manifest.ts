/** The shipped webhook configuration, for one CA and one address. */
import { parseDocument } from 'yaml'
import { readPackageFile } from '../package-root.ts'

export interface WebhookTarget {
  /** The namespace that Berth runs in. */
  readonly namespace: string
  /** The Service in front of the webhook. */
  readonly service: string
  /** An https URL that the API server calls instead of the Service; null to call the Service. */
  readonly url: URL | null
}

/** Returns `webhook-config/mutating-webhook.yaml` with the CA and the address filled in. */
export function renderWebhookManifest(
  caCertificate: string,
  { namespace, service, url }: WebhookTarget,
): string {
  const document = parseDocument(readPackageFile('webhook-config/mutating-webhook.yaml'))
  const { webhooks } = document.toJS() as {
    webhooks: { clientConfig: { service: { path: string } } }[]
  }
  const caBundle = Buffer.from(caCertificate).toString('base64')
  for (const [index, { clientConfig }] of webhooks.entries()) {
    const { path } = clientConfig.service
    const address =
      url === null
        ? { service: { name: service, namespace, port: 443, path } }
        : { url: `${url.href.replace(/\/$/, '')}${path}` }
    document.setIn(
      ['webhooks', index, 'clientConfig'],
      document.createNode({ ...address, caBundle }),
    )
  }
  // The configuration excludes Berth's own namespace, whatever its name: Berth's pods must start while the webhook is down.
  return document.toString({ lineWidth: 0 }).replaceAll('berth-system', namespace)
}
