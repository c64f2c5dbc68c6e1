import { once } from 'node:events'
import { duplexPair } from 'node:stream'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { createLane } from '../../../src/async/lane.ts'
import { makeCertificates } from '../../../src/webhook/certificate/self-signed.ts'
import { unchanged } from '../../../src/webhook/admission/admission-response.ts'
import { type App, createApp } from '../../../src/webhook/server/app.ts'
import { createWebhookMetrics } from '../../../src/telemetry/webhook-metrics.ts'
import { podOf, reviewOf } from '../../support/reviews.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as (options?: { readonly type: 'minor' }) => void

async function startApp(): Promise<App> {
  const { leaf } = await makeCertificates({ names: ['localhost'], days: 1, now: new Date() })
  return createApp({
    lane: createLane(),
    tls: leaf,
    metrics: createWebhookMetrics({
      isListed: () => false,
      circuits: () => new Map(),
      droppedLogLines: () => 0,
    }),
    log: () => undefined,
    onBug: (error) => {
      throw error
    },
    admit: () => ({
      verdict: unchanged,
      decisions: [],
      rest: null,
      mode: 'enforce',
      isFailed: false,
    }),
  })
}

/** Opens a connection in memory, and returns a function that sends a review and waits for the response. */
function connectTo({ server }: App): () => Promise<void> {
  const [client, socket] = duplexPair()
  server.emit('secureConnection', Object.assign(socket, { setTimeout: () => socket }))
  const body = JSON.stringify(reviewOf(podOf(['nginx'])))
  const head = 'POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
  const request = `${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  client.setEncoding('latin1')
  return async () => {
    client.write(request)
    let response = ''
    while (!response.endsWith('}}')) response += String(await once(client, 'data'))
    if (!response.startsWith('HTTP/1.1 200')) throw new Error(response)
  }
}

function oldBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')
    ?.space_used_size as number
}

describe('an answered review', () => {
  it('leaves nothing behind for a full garbage collection', async () => {
    const answerOne = connectTo(await startApp())
    const answer = async (reviews: number) => {
      for (let review = 0; review < reviews; review++) await answerOne()
      // Twice: what the first one keeps is old at the second.
      collect({ type: 'minor' })
      collect({ type: 'minor' })
    }
    await answer(1_000)
    collect()
    const before = oldBytes()
    await answer(1_000)

    expect((oldBytes() - before) / 1_000).toBeLessThan(500)
  })
})
