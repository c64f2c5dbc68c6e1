import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { currentCluster } from '../harness/cluster.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { dryRunPod, startWebhook, type Webhook } from '../harness/webhook.ts'

/** `berth serve --client-ca`, with an API server that shows a client certificate (AdmissionConfiguration). */
const { kubeletClient, webhookClient } = currentCluster()

interface ClientPair {
  readonly cert?: string
  readonly key?: string
}

/** Sends a review that is not one, and returns the status; the message of the error if the connection fails. */
function statusFor({ url, ca }: Webhook, pair: ClientPair): Promise<number | string> {
  return new Promise((resolve) => {
    const options = { method: 'POST', headers: { 'content-type': 'application/json' }, ca, ...pair }
    request(`${url}/mutate`, options, ({ statusCode }) => resolve(statusCode ?? 0))
      .on('error', ({ message }) => resolve(message))
      .end('{}')
  })
}

const pairOf = (certificate: string, key: string): ClientPair => ({
  cert: readFileSync(certificate, 'utf8'),
  key: readFileSync(key, 'utf8'),
})

describe('a webhook with --client-ca', () => {
  let registries: MirrorAndUpstream
  let webhook: Webhook

  beforeAll(async () => {
    registries = await startMirrorAndUpstream('client-certificate')
    await registries.push(registries.mirror, 'library/app', '1')
    webhook = await startWebhook({
      name: 'client-certificate',
      config: registries.config,
      canary: 'app:1',
      args: [`--client-ca=${webhookClient.ca}`, `--client-names=${webhookClient.name}`],
    })
  })

  afterAll(async () => {
    await webhook?.stop()
    await registries?.stop()
  })

  test('gets the reviews of the API server', async () => {
    const { spec } = await dryRunPod('app:1')

    expect(spec.containers[0]?.image).toBe('mirror.example/library/app:1')
  })

  test('answers a caller with the certificate of the API server', async () => {
    const { certificate, key } = webhookClient

    // 400: the caller is accepted, and its body is not a review.
    expect(await statusFor(webhook, pairOf(certificate, key))).toBe(400)
  })

  test.each([
    ['no certificate', () => ({})],
    [
      "the certificate that the API server shows to kubelets, which is of the cluster's CA",
      () => pairOf(kubeletClient.certificate, kubeletClient.key),
    ],
  ])('refuses a caller with %s', async (_, pair) => {
    expect(await statusFor(webhook, pair())).toEqual(
      expect.stringMatching(/alert|ECONNRESET|socket hang up|EPIPE/),
    )
  })
})
