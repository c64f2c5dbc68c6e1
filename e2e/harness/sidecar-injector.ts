/** Another mutating webhook, as a service mesh has one: it adds a sidecar, and fills in `image: auto`. */
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { makeCertificates } from '../../src/webhook/certificate/self-signed.ts'
import { apply, kubectlOk } from './kubectl.ts'

export type SidecarInjector = { stop(): Promise<void> }

type Review = {
  request: { uid: string; object: { spec: { containers: { name: string; image: string }[] } } }
}

/** Registers it under a name; webhooks are called in the order of their configurations' names. */
export async function startSidecarInjector(
  address: string,
  name: string,
  sidecar: string,
): Promise<SidecarInjector> {
  const { ca, leaf } = await makeCertificates({ names: [address], days: 1, now: new Date() })
  const server = createServer(leaf, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const review = JSON.parse(Buffer.concat(chunks).toString()) as Review
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify(answer(review, name, sidecar)))
    })
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
        reinvocationPolicy: 'IfNeeded',
        rules: [
          { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] },
        ],
        namespaceSelector: { matchLabels: { injected: name } },
      },
    ],
  })
  return {
    stop: async () => {
      await kubectlOk(['delete', 'mutatingwebhookconfiguration', name, '--ignore-not-found'])
      server.close()
      server.closeAllConnections()
    },
  }
}

function answer({ request }: Review, name: string, sidecar: string): object {
  const { containers } = request.object.spec
  const patch: object[] = []
  containers.forEach(({ image }, index) => {
    if (image === 'auto')
      patch.push({ op: 'replace', path: `/spec/containers/${index}/image`, value: sidecar })
  })
  if (!containers.some((container) => container.name === name)) {
    patch.push({ op: 'add', path: '/spec/containers/-', value: { name, image: sidecar } })
  }
  const changes =
    patch.length === 0
      ? {}
      : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid: request.uid, allowed: true, ...changes },
  }
}
