/** A mutating webhook that takes every call and answers none, as one whose process hangs. */
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { makeCertificates } from '../../src/webhook/certificate/self-signed.ts'
import { apply, kubectlOk } from './kubectl.ts'

export type HangingWebhook = {
  /** How often it was called. */
  readonly calls: () => number
  stop(): Promise<void>
}

/** Registers it for the pods of one namespace; it is given up after `timeoutSeconds`. */
export async function startHangingWebhook(
  address: string,
  { name, namespace, timeoutSeconds }: { name: string; namespace: string; timeoutSeconds: number },
): Promise<HangingWebhook> {
  const { ca, leaf } = await makeCertificates({ names: [address], days: 1, now: new Date() })
  let calls = 0
  const server = createServer(leaf, (request) => {
    calls++
    request.resume()
  })
  server.listen(0, address)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
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
        timeoutSeconds,
        rules: [
          { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] },
        ],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
      },
    ],
  })
  return {
    calls: () => calls,
    stop: async () => {
      await kubectlOk(['delete', 'mutatingwebhookconfiguration', name, '--ignore-not-found'])
      server.close()
      server.closeAllConnections()
    },
  }
}
