/** A mutating webhook of the tests, other than Berth. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { makeCertificates } from '../../src/webhook/certificate/self-signed.ts'
import { currentCluster } from './cluster.ts'
import { apply, kubectlOk } from './kubectl.ts'
import { listen } from './servers.ts'

export type HttpsWebhookOptions = {
  /** The name of the registration. The API server calls webhooks in the order of these names. */
  name: string
  /** The labels of the namespaces whose new pods it gets. */
  namespaceLabels: Record<string, string>
  onRequest: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>
  timeoutSeconds?: number
  reinvocationPolicy?: 'IfNeeded'
}

export type HttpsWebhook = { stop(): Promise<void> }

/** Starts the webhook and registers it for the creation of pods. */
export async function startHttpsWebhook(options: HttpsWebhookOptions): Promise<HttpsWebhook> {
  const { name, namespaceLabels, onRequest, ...settings } = options
  const { address } = currentCluster()
  const { ca, leaf } = await makeCertificates({ names: [address], days: 1, now: new Date() })
  const { port, close } = await listen(
    createServer(leaf, (request, response) => {
      void onRequest(request, response)
    }),
    address,
  )
  await apply({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name },
    webhooks: [
      {
        name: `${name}.example.com`,
        clientConfig: {
          url: `https://${address}:${port}/`,
          caBundle: Buffer.from(ca.cert).toString('base64'),
        },
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Ignore',
        rules: [
          { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] },
        ],
        namespaceSelector: { matchLabels: namespaceLabels },
        ...settings,
      },
    ],
  })
  return {
    stop: async () => {
      await kubectlOk(['delete', 'mutatingwebhookconfiguration', name, '--ignore-not-found'])
      await close()
    },
  }
}
