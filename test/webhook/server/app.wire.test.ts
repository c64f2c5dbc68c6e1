import { connect } from 'node:tls'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLane } from '../../../src/async/lane.ts'
import { createLogs } from '../../../src/telemetry/log.ts'
import { createWebhookMetrics } from '../../../src/telemetry/webhook-metrics.ts'
import { createAdmissionLog } from '../../../src/webhook/admission/admission-log.ts'
import { unchanged } from '../../../src/webhook/admission/admission-response.ts'
import type { Admission, AdmitOptions } from '../../../src/webhook/admission/admit.ts'
import { makeCertificates } from '../../../src/webhook/certificate/self-signed.ts'
import { type App, createApp } from '../../../src/webhook/server/app.ts'
import { maxReviewBytes } from '../../../src/webhook/server/read-body.ts'
import { podOf, reviewOf } from '../../support/reviews.ts'

const lines: string[] = []
const metrics = createWebhookMetrics({
  isListed: () => false,
  circuits: () => new Map(),
  droppedLogLines: () => 0,
})
const received: AdmitOptions[] = []
const bugs: unknown[] = []
let deniesUnread = false
const admission: Admission = {
  verdict: { ...unchanged, patch: [{ op: 'add', path: '/a', value: 1 }] },
  decisions: [],
  rest: null,
  mode: 'enforce',
  isFailed: false,
}

let app: App
let agent: Agent
let url: string
let port: number

beforeAll(async () => {
  const { ca, leaf } = await makeCertificates({ names: ['localhost'], days: 1, now: new Date() })
  app = await createApp({
    lane: createLane(),
    tls: leaf,
    metrics,
    log: createAdmissionLog(
      createLogs('info', { write: (line: string) => lines.push(line) }).admissions,
    ),
    onBug: (error) => bugs.push(error),
    deniesUnread: () => deniesUnread,
    admit: ({ namespace }, options) => {
      received.push(options)
      if (namespace === 'bug') throw new Error('secret detail')
      return Promise.resolve(admission)
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

interface Sent {
  readonly method?: string
  /** Null: no content type. */
  readonly type?: string | null
  readonly body?: string | Buffer
}

async function send(path: string, { method = 'POST', type = 'application/json', body }: Sent = {}) {
  const response = await request(`${url}${path}`, {
    method: method as 'POST',
    headers: type === null ? {} : { 'content-type': type },
    body: body ?? JSON.stringify(reviewOf(podOf(['nginx']))),
    dispatcher: agent,
  })
  return {
    status: response.statusCode,
    headers: response.headers,
    body: await response.body.text(),
  }
}

describe('the HTTPS server', () => {
  it.each(['/mutate?timeout=5s', '/mutate/', '/mutate'])(
    'answers a review at %s with a review',
    async (path) => {
      const { status, headers, body } = await send(path)

      expect([status, headers['content-type']]).toEqual([200, 'application/json; charset=utf-8'])
      expect(JSON.parse(body)).toMatchObject({
        response: {
          uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
          allowed: true,
          patchType: 'JSONPatch',
        },
      })
    },
  )

  it('keeps unused connections longer than the API server does', () => {
    const { headersTimeout, requestTimeout, keepAliveTimeout } = app.server

    expect(Math.min(headersTimeout, requestTimeout, keepAliveTimeout)).toBeGreaterThan(90_000)
  })

  it('only observes at /observe', async () => {
    await send('/observe')

    expect(received.at(-1)?.observeOnly).toBe(true)
  })

  it.each(['application/json; charset=utf-8', 'Application/JSON'])(
    'accepts the content type %s',
    async (type) => {
      expect((await send('/mutate', { type })).status).toBe(200)
    },
  )

  const noReview = 'the body is not an AdmissionReview of admission.k8s.io/v1\n'
  const unknownPath = 'not found; send reviews to /mutate or /observe\n'
  const notJson = 'send the review as application/json\n'
  const notParsed = 'the body is not JSON; send an AdmissionReview\n'
  it.each<[number, string, string, string, Sent, string]>([
    [405, 'GET', '/mutate', 'no body', {}, '/mutate takes POST only\n'],
    [405, 'PUT', '/mutate?timeout=5s', 'a review', {}, '/mutate takes POST only\n'],
    [405, 'PUT', '/observe/', 'text', { type: 'text/plain' }, '/observe takes POST only\n'],
    [404, 'POST', '/other', 'a review', {}, unknownPath],
    [404, 'POST', '/other', 'text', { type: 'text/plain' }, unknownPath],
    [415, 'POST', '/mutate', 'text', { type: 'text/plain' }, notJson],
    [415, 'POST', '/mutate', 'no body and no type', { type: null, body: '' }, notJson],
    [415, 'POST', '/mutate', 'no type', { type: null }, notJson],
    [415, 'POST', '/mutate', 'half of a type', { type: 'json' }, notJson],
    [400, 'POST', '/mutate', 'no body', { body: '' }, notParsed],
    [400, 'POST', '/mutate', 'half of an object', { body: '{' }, notParsed],
    [400, 'POST', '/mutate', 'an empty object', { body: '{}' }, noReview],
    [
      413,
      'POST',
      '/mutate',
      'a body that is too large',
      { body: Buffer.alloc(maxReviewBytes + 1, 32) },
      `the body is larger than ${maxReviewBytes} bytes\n`,
    ],
    [
      400,
      'POST',
      '/mutate',
      'a body that nests too deep',
      { body: '['.repeat(300_000) },
      'the body nests deeper than 128 levels\n',
    ],
    [
      413,
      'POST',
      '/mutate',
      'a body with too many values',
      { body: `[${'{},'.repeat(900_000)}{}]` },
      'the body takes more than 67108864 bytes as values\n',
    ],
  ])('returns %i for %s %s with %s', async (status, method, path, _, options, body) => {
    const withoutBody = method === 'GET' ? { body: '' } : {}

    expect(await send(path, { method, ...withoutBody, ...options })).toMatchObject({ status, body })
  })

  it('names the method that is allowed in a 405', async () => {
    expect((await send('/mutate', { method: 'PUT' })).headers['allow']).toBe('POST')
  })

  it('accepts a review of nearly 8 MiB', async () => {
    const body = JSON.stringify(reviewOf(podOf(['x'.repeat(maxReviewBytes - 2_000)])))

    expect((await send('/mutate', { body })).status).toBe(200)
  })

  it.each(['annotations', 'labels', 'ownerReferences', 'imagePullSecrets', 'nodeSelector', 'os'])(
    'answers a review of a quarter of a megabyte with 60,000 levels in %s',
    async (field) => {
      const levels = 60_000
      const deep = `${'['.repeat(levels)}${']'.repeat(levels)}`
      const { spec } = podOf(['nginx']) as { spec: object }
      const placed = { metadata: { [field]: 'deep' }, spec: { ...spec, [field]: 'deep' } }
      const body = JSON.stringify(reviewOf(placed)).replaceAll(
        `"${field}":"deep"`,
        `"${field}":${deep}`,
      )
      const { status, body: text } = await send('/mutate', { body })

      expect({ status, text }).toMatchObject({
        status: 200,
        text: expect.stringContaining('"allowed":true'),
      })
    },
  )

  it('returns 500 for a bug, and keeps its text out of the response', async () => {
    const body = JSON.stringify(reviewOf(podOf(['nginx']), { namespace: 'bug' }))
    const response = await send('/mutate', { body })

    expect(response).toMatchObject({ status: 500, body: 'internal error\n' })
    expect(bugs).toEqual([new Error('secret detail')])
  })

  it('keeps the connection open after an error response', async () => {
    const { headers } = await send('/mutate', { body: Buffer.alloc(maxReviewBytes + 1, 32) })

    expect(headers['connection']).toBe('keep-alive')
  })

  it('logs one line for each admission', async () => {
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

  it('counts admissions and error responses', async () => {
    await send('/mutate')
    await send('/mutate', { body: '{' })
    const text = await metrics.registry.metrics()

    expect(text).toMatch(
      /berth_admissions_total\{operation="CREATE",outcome="patched",mode="enforce"\} [1-9]/,
    )
    expect(text).toMatch(/berth_requests_refused_total\{status="400"\} [1-9]/)
  })

  it.each(['TLSv1.1', 'TLSv1.2'] as const)('rejects %s', async (maxVersion) => {
    const result = await new Promise((resolve) => {
      const socket = connect(
        { host: '127.0.0.1', port, maxVersion, minVersion: maxVersion, rejectUnauthorized: false },
        () => resolve('connected'),
      )
      socket.on('error', () => resolve('rejected'))
    })

    expect(result).toBe('rejected')
  })
})

describe('a review that is too large to be read', () => {
  const reviewWith = (object: unknown): string => {
    const { request: fields } = reviewOf(object) as { request: object }
    return JSON.stringify({
      kind: 'AdmissionReview',
      apiVersion: 'admission.k8s.io/v1',
      request: fields,
    })
  }
  const large = [
    ['has too many bytes', reviewWith({ text: 'x'.repeat(maxReviewBytes) }), 413],
    ['takes too much memory', reviewWith(Array.from({ length: 900_000 }, () => ({}))), 413],
    [
      'nests too deep',
      reviewWith('deep').replace('"deep"', `${'['.repeat(140_000)}${']'.repeat(140_000)}`),
      400,
    ],
  ] as const

  it.each(large)('is denied if it %s and the config denies images', async (_, body) => {
    deniesUnread = true
    const answer = await send('/mutate', { body })
    deniesUnread = false

    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toMatchObject({
      response: {
        uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
        allowed: false,
        status: { message: expect.stringContaining('make the pod smaller') as unknown },
      },
    })
  })

  it.each(large)(
    'gets a status if it %s and the config denies nothing',
    async (_, body, status) => {
      expect(await send('/mutate', { body })).toMatchObject({ status })
    },
  )

  it('is not denied in a namespace that is only observed', async () => {
    deniesUnread = true
    const answer = await send('/observe', { body: large[0][1] })
    deniesUnread = false

    expect(answer.status).toBe(413)
  })

  it('gets a status if it has no uid to answer', async () => {
    deniesUnread = true
    const answer = await send('/mutate', { body: '['.repeat(300_000) })
    deniesUnread = false

    expect(answer.status).toBe(400)
  })
})
