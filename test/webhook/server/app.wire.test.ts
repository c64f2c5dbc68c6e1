import { connect } from 'node:tls'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Admission, AdmitOptions } from '../../../src/webhook/admission/admit.ts'
import { unchanged } from '../../../src/webhook/admission/admission-response.ts'
import { createApp } from '../../../src/webhook/server/app.ts'
import { maxReviewBytes } from '../../../src/webhook/server/body.ts'
import { makeCertificates } from '../../../src/webhook/certificate/self-signed.ts'
import { createAdmissionLog } from '../../../src/webhook/admission/admission-log.ts'
import { createLogs } from '../../../src/telemetry/log.ts'
import { createMetrics } from '../../../src/telemetry/webhook-metrics.ts'
import { podOf, reviewOf } from '../../support/reviews.ts'

const lines: string[] = []
const metrics = createMetrics({ knows: () => false, circuits: () => new Map() })
const seen: AdmitOptions[] = []
const answered: Admission = {
  verdict: { ...unchanged, patch: [{ op: 'add', path: '/a', value: 1 }] },
  decisions: [],
  mode: 'enforce',
  failed: false,
  holds: () => false,
}

let app: Awaited<ReturnType<typeof createApp>>
let agent: Agent
let url: string
let port: number

beforeAll(async () => {
  const { ca, leaf } = await makeCertificates({ names: ['localhost'], days: 1, now: new Date() })
  app = await createApp({
    tls: leaf,
    metrics,
    log: createAdmissionLog(
      createLogs('info', { write: (line: string) => lines.push(line) }).admissions,
    ),
    onBug: (error) => lines.push(String(error)),
    admit: (_, options) => {
      seen.push(options)
      return Promise.resolve(answered)
    },
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  port = typeof address === 'object' && address !== null ? address.port : 0
  url = `https://localhost:${port}`
  agent = new Agent({ connect: { ca: ca.cert } })
})

afterAll(async () => {
  await agent.close()
  await app.close()
})

async function send(
  path: string,
  options: { method?: string; type?: string; body?: string | Buffer } = {},
) {
  const response = await request(`${url}${path}`, {
    method: (options.method ?? 'POST') as 'POST',
    headers: { 'content-type': options.type ?? 'application/json' },
    body: options.body ?? JSON.stringify(reviewOf(podOf(['nginx']))),
    dispatcher: agent,
  })
  return {
    status: response.statusCode,
    headers: response.headers,
    body: await response.body.text(),
  }
}

describe('the door', () => {
  it('answers a review with a review', async () => {
    const { status, headers, body } = await send('/mutate?timeout=5s')

    expect([status, headers['content-type']]).toEqual([200, 'application/json; charset=utf-8'])
    expect(JSON.parse(body)).toMatchObject({
      response: {
        uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
        allowed: true,
        patchType: 'JSONPatch',
      },
    })
  })

  it('keeps a connection that was opened and not used longer than the API server does', () => {
    const { headersTimeout, requestTimeout, keepAliveTimeout } = app.server

    expect(Math.min(headersTimeout, requestTimeout, keepAliveTimeout)).toBeGreaterThan(90_000)
  })

  it('observes at the other path', async () => {
    await send('/observe')

    expect(seen.at(-1)?.observeOnly).toBe(true)
  })

  it.each([
    [405, 'GET', '/mutate', {}, 'only POST is answered at /mutate\n'],
    [405, 'PUT', '/mutate', {}, 'only POST is answered at /mutate\n'],
    [404, 'POST', '/other', {}, 'reviews are answered at /mutate\n'],
    [415, 'POST', '/mutate', { type: 'text/plain' }, 'send the review as application/json\n'],
    [400, 'POST', '/mutate', { body: '' }, 'the body is not JSON; send an AdmissionReview\n'],
    [400, 'POST', '/mutate', { body: '{' }, 'the body is not JSON; send an AdmissionReview\n'],
    [
      400,
      'POST',
      '/mutate',
      { body: '{}' },
      'the body is not an AdmissionReview of admission.k8s.io/v1\n',
    ],
    [
      413,
      'POST',
      '/mutate',
      { body: Buffer.alloc(maxReviewBytes + 1, 32) },
      `the body is larger than ${maxReviewBytes} bytes\n`,
    ],
  ])('is %i for %s %s', async (status, method, path, options, body) => {
    const withoutBody = method === 'GET' ? { body: '' } : {}

    expect(await send(path, { method, ...withoutBody, ...options })).toMatchObject({ status, body })
  })

  it('takes a review of nearly 8 MiB (B1)', async () => {
    const body = JSON.stringify(reviewOf(podOf(['x'.repeat(maxReviewBytes - 2_000)])))

    expect((await send('/mutate', { body })).status).toBe(200)
  })

  it('writes one line for each admission', async () => {
    lines.length = 0
    await send('/mutate')

    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({
        msg: 'admission',
        outcome: 'patched',
        namespace: 'default',
        images: [],
      }),
    ])
  })

  it('counts what it answered and what it refused', async () => {
    await send('/mutate')
    await send('/mutate', { body: '{' })
    const text = await metrics.registry.metrics()

    expect(text).toMatch(
      /berth_admissions_total\{operation="CREATE",outcome="patched",mode="enforce"\} [1-9]/,
    )
    expect(text).toMatch(/berth_requests_refused_total\{status="400"\} [1-9]/)
  })

  it.each(['TLSv1.1', 'TLSv1.2'] as const)('does not speak %s', async (maxVersion) => {
    const refused = await new Promise((resolve) => {
      const socket = connect(
        { host: '127.0.0.1', port, maxVersion, minVersion: maxVersion, rejectUnauthorized: false },
        () => resolve('connected'),
      )
      socket.on('error', () => resolve('refused'))
    })

    expect(refused).toBe('refused')
  })
})
