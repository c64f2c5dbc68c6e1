/** Broken and hostile connections: after each of them the server still answers reviews and holds nothing for the old ones. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect as connectPlain } from 'node:net'
import { Readable } from 'node:stream'
import { connect, type TLSSocket } from 'node:tls'
import { gzipSync } from 'node:zlib'
import { fc, runs } from '../support/fast-check.ts'
import { Agent, request } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { requestTimeouts } from '../../src/webhook/server/app.ts'
import { maxReviewBytes } from '../../src/webhook/server/read-body.ts'
import { expectErrorResponse, expectResponse } from './expect-response.ts'
import { reviewText, wildReview } from './pods.ts'
import { createTestServer, type TestServer } from './test-server.ts'

const pod = '{"metadata":{},"spec":{"containers":[{"name":"a","image":"nginx"}]}}'
const review = reviewText(pod)
const nothing = { requests: 0, bodyBytes: 0, parsedBytes: 0 }
const slow = { timeout: 60_000 }

let server: TestServer
let agent: Agent
let port: number
let impatient: TestServer
let impatientPort: number

beforeAll(async () => {
  server = await createTestServer()
  await server.app.listen({ host: '127.0.0.1', port: 0 })
  port = (server.app.server.address() as AddressInfo).port
  agent = new Agent({ connect: { ca: server.ca }, connections: 50 })
  impatient = await createTestServer()
  // Shorter time limits: Node reads these when the server starts to listen.
  Object.assign(impatient.app.server, {
    requestTimeout: 100,
    headersTimeout: 50,
    connectionsCheckingInterval: 10,
  })
  await impatient.app.listen({ host: '127.0.0.1', port: 0 })
  impatientPort = (impatient.app.server.address() as AddressInfo).port
})

afterAll(async () => {
  await agent.close()
  await Promise.all([server.app.close(), impatient.app.close()])
})

afterEach(async () => {
  const { status, body } = await post(review)
  expect([status, (JSON.parse(body) as { response: object }).response]).toEqual([
    200,
    expect.objectContaining({ uid: 'u1', allowed: true, patchType: 'JSONPatch' }),
  ])
  expect([...server.bugs, ...impatient.bugs]).toEqual([])
  await vi.waitFor(() =>
    expect([server.inFlight(), impatient.inFlight()]).toEqual([nothing, nothing]),
  )
})

async function post(
  body: string | Buffer | Readable,
  headers: Readonly<Record<string, string>> = {},
) {
  const response = await request(`https://localhost:${port}/mutate?timeout=5s`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
    dispatcher: agent,
  })
  return {
    status: response.statusCode,
    type: response.headers['content-type'],
    body: await response.body.text(),
  }
}

async function open(to = port): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port: to, servername: 'localhost', ca: server.ca })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  return socket
}

/** Sends text as it is, and returns what the server sent before it closed the connection. */
async function sendRaw(text: string | Buffer, to = port): Promise<string> {
  const socket = await open(to)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.write(text)
  await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(chunks).toString()
}

function head(headers: readonly string[], path = '/mutate'): string {
  const lines = [`POST ${path} HTTP/1.1`, 'host: localhost', 'content-type: application/json']
  return `${[...lines, ...headers].join('\r\n')}\r\n\r\n`
}

const whole = (body: string, ...more: string[]) =>
  `${head([`content-length: ${Buffer.byteLength(body)}`, ...more])}${body}`

describe('generated reviews', () => {
  it('get an answer over a real connection', async () => {
    await fc.assert(
      fc.asyncProperty(wildReview, async (text) => {
        const { status, type, body } = await post(text)
        if (status !== 200) return expectErrorResponse(status, type, body)
        const { response } = JSON.parse(body) as { response: Record<string, unknown> }
        expectResponse(response)
        expect(response['allowed']).toBe(true)
      }),
      runs(150),
    )
  })
})

describe('a caller', () => {
  it('that stops in the middle of the body gets 408', async () => {
    const answer = await sendRaw(`${head(['content-length: 1000'])}{"apiVersion":`, impatientPort)

    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  })

  it('that stops in the middle of the headers gets 408', async () => {
    expect(await sendRaw('POST /mutate HTTP/1.1\r\nhost: x\r\n', impatientPort)).toMatch(
      /^HTTP\/1\.1 408 /,
    )
  })

  it(
    'has ten seconds for a request and five for its headers',
    async () => {
      expect(requestTimeouts).toMatchObject({ requestMs: 10_000, headersMs: 5_000 })

      const socket = await open()
      let text = ''
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
      socket.write(head(['content-length: 9']).slice(0, -4))
      await once(socket, 'close')

      expect(text).toMatch(/^HTTP\/1\.1 408 /)
    },
    slow.timeout,
  )

  it('that closes the connection in the middle of the body leaves nothing in flight', async () => {
    const socket = await open()
    socket.write(`${head([`content-length: ${review.length}`])}${review.slice(0, 50)}`)
    await vi.waitFor(() => expect(server.inFlight().requests).toBe(1))
    socket.destroy()
    await vi.waitFor(() => expect(server.inFlight()).toEqual(nothing))
  })

  it('that sends more than its content-length gets 400', async () => {
    const answer = await sendRaw(`${head(['content-length: 10'])}${review}`)

    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  })

  it.each([
    ['more than 8 MiB', [`content-length: ${maxReviewBytes + 1}`, 'connection: close'], 413],
    ['a length that is not a number', ['content-length: many'], 400],
    ['a negative length', ['content-length: -1'], 400],
    ['two lengths', ['content-length: 10', 'content-length: 11'], 400],
    ['a length and chunks', ['content-length: 10', 'transfer-encoding: chunked'], 400],
    ['an unknown transfer coding', ['transfer-encoding: chunked, gzip'], 400],
  ])('that announces %s gets an error before it sends the body', async (_, headers, status) => {
    expect(await sendRaw(head(headers))).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })

  // The connection may be reset before the caller reads the response, because the server does not read the rest.
  it('that sends endless headers gets 431', async () => {
    expect(await sendRaw(head([`x: ${'y'.repeat(100_000)}`]))).toMatch(/^(?:HTTP\/1\.1 431 |$)/)
  })

  it.each([
    ['gets 413', [`content-length: ${maxReviewBytes + 1}`], '413'],
    ['sent an invalid review', ['transfer-encoding: chunked'], '400'],
  ])('that %s and goes on sending leaves nothing in flight', async (_, headers, status) => {
    const socket = await open()
    const answered = once(socket, 'data')
    socket.write(head(headers))
    if (status === '400') socket.write('1\r\n{\r\n0\r\n\r\n')
    const [answer] = (await answered) as [Buffer]
    for (let sent = 0; sent < 20; sent++) socket.write(Buffer.alloc(100_000, ' '))
    await vi.waitFor(() => expect(server.inFlight().requests).toBe(0))
    socket.destroy()

    expect(answer.toString()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })

  it('that sends endless chunks gets 413', async () => {
    const chunk = `10000\r\n${' '.repeat(0x1_00_00)}\r\n`
    const answer = await sendRaw(
      head(['transfer-encoding: chunked', 'connection: close']) + chunk.repeat(129),
    )

    expect(answer).toMatch(/^(?:HTTP\/1\.1 413 |$)/)
  })

  it.each([
    ['a review', gzipSync(review)],
    ['8 MiB of white space', gzipSync(Buffer.alloc(maxReviewBytes, ' '))],
    [
      '1 GiB of nothing',
      gzipSync(Buffer.alloc(2 ** 26))
        .toString('latin1')
        .repeat(16),
    ],
  ])('that sends %s with gzip gets 400', async (_, packed) => {
    const body = Buffer.from(packed as string, 'latin1')
    const { status, type, body: text } = await post(body, { 'content-encoding': 'gzip' })

    expect(status).toBe(400)
    expectErrorResponse(status, type, text)
  })

  it.each([
    ['plain HTTP', whole(review)],
    ['unknown bytes', '\u0000\u0001\u0002\r\n\r\n'.repeat(100)],
  ])('that sends %s to the TLS port gets no response', async (_, text) => {
    const socket = connectPlain(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(text)
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    await new Promise((resolve) => socket.once('close', resolve))

    expect(Buffer.concat(chunks).toString('latin1')).not.toContain('HTTP')
  })

  it.each([
    ['text that is not HTTP', 'hello\r\n\r\n', 400],
    ['HTTP/2 without ALPN', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['an invalid path', head(['content-length: 0', 'connection: close'], '/%zz'), 400],
    ['an unknown method', 'BREW /mutate HTTP/1.1\r\nhost: x\r\n\r\n', 400],
    ['no host header', 'POST /mutate HTTP/1.1\r\n\r\n', 400],
  ])('that sends %s gets 400', async (_, text, status) => {
    expect(await sendRaw(text)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })
})

describe('many requests', () => {
  it('on one connection get their answers in order', async () => {
    const uids = Array.from({ length: 20 }, (_, index) => `u${index}`)
    const texts = uids.map((uid, index) =>
      whole(
        reviewText(pod, { uid: JSON.stringify(uid) }),
        index === uids.length - 1 ? 'connection: close' : 'connection: keep-alive',
      ),
    )
    const answers = await sendRaw(texts.join(''))

    expect([...answers.matchAll(/"uid":"(u\d+)"/g)].map(([, uid]) => uid)).toEqual(uids)
  })

  it('of 8 MiB are shed with 503 before they use up the memory', slow, async () => {
    const name = 'x'.repeat(maxReviewBytes - review.length - 100)
    const body = Buffer.from(reviewText(pod.replace('{}', `{"name":"${name}"}`)))
    const before = process.memoryUsage.rss()
    let peak = before
    const answers = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const {
          status,
          type,
          body: text,
        } = await post(Readable.from(inPieces(body)), {
          'content-length': String(body.length),
        })
        peak = Math.max(peak, process.memoryUsage.rss())
        if (status !== 200) expectErrorResponse(status, type, text)
        return status
      }),
    )

    expect(answers.every((status) => status === 200 || status === 503)).toBe(true)
    expect((peak - before) / 2 ** 20).toBeLessThan(512)
  })
})

/** In small writes, so that the test does not measure the memory of the sender. */
function* inPieces(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 0x1_00_00) yield body.subarray(at, at + 0x1_00_00)
}
