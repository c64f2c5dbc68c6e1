/** A mutating webhook like that of a service mesh: it adds a sidecar and replaces `image: auto`. */
import { json } from 'node:stream/consumers'
import { type HttpsWebhook, startHttpsWebhook } from './https-webhook.ts'

type Review = {
  request: { uid: string; object: { spec: { containers: { name: string; image: string }[] } } }
}

/** Registers the injector for pods in namespaces with the label `injected: NAME`. */
export function startSidecarInjector(name: string, sidecarImage: string): Promise<HttpsWebhook> {
  return startHttpsWebhook({
    name,
    namespaceLabels: { injected: name },
    reinvocationPolicy: 'IfNeeded',
    onRequest: async (request, response) => {
      const review = (await json(request)) as Review
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify(respond(review, name, sidecarImage)))
    },
  })
}

function respond({ request }: Review, sidecarName: string, sidecarImage: string): object {
  const { containers } = request.object.spec
  const patch: object[] = []
  containers.forEach(({ image }, index) => {
    const path = `/spec/containers/${index}/image`
    if (image === 'auto') patch.push({ op: 'replace', path, value: sidecarImage })
  })
  if (!containers.some(({ name }) => name === sidecarName)) {
    const value = { name: sidecarName, image: sidecarImage }
    patch.push({ op: 'add', path: '/spec/containers/-', value })
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
