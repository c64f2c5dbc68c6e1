/** A mutating webhook that accepts every call and never answers. */
import { type HttpsWebhook, startHttpsWebhook } from './https-webhook.ts'

export type HangingWebhook = HttpsWebhook & {
  /** Returns the number of calls so far. */
  readonly calls: () => number
}

/** Registers a hanging webhook for the pods of one namespace. The API server gives up after `timeoutSeconds`. */
export async function startHangingWebhook(options: {
  name: string
  namespace: string
  timeoutSeconds: number
}): Promise<HangingWebhook> {
  const { name, namespace, timeoutSeconds } = options
  let calls = 0
  const webhook = await startHttpsWebhook({
    name,
    timeoutSeconds,
    namespaceLabels: { 'kubernetes.io/metadata.name': namespace },
    onRequest: (request) => {
      calls++
      request.resume()
    },
  })
  return { ...webhook, calls: () => calls }
}
