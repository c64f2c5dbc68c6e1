/** What goes wrong on a wire: senders that stop, lie, shout, or speak something else. After each of them the door still answers. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect as connectPlain } from 'node:net'
import { Readable } from 'node:stream'
import { connect, type TLSSocket } from 'node:tls'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { Agent, request } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { senderLimits } from '../../src/webhook/server/app.ts'
import { maxReviewBytes } from '../../src/webhook/server/body.ts'
import { expectRefusal, expectResponse } from './answer.ts'
import { createDoor, type Door } from './door.ts'
import { reviewText, wildReview } from './pods.ts'

const pod = '{"metadata":{},"spec":{"containers":[{"name":"a","image":"nginx"}]}}'
const review = reviewText(pod)
const nothing = { requests: 0, bytes: 0 }
const unhurried = { timeout: 60_000 }

let door: Door
let agent: Agent
let port: number
let impatient: Door
let impatientPort: number

beforeAll(async () => {
  door = await createDoor()
  await door.app.listen({ host: '127.0.0.1', port: 0 })
  port = (door.app.server.address() as AddressInfo).port
  agent = new Agent({ connect: { ca: door.ca }, connections: 50 })
  impatient = await createDoor()
  // The same server with less patience: Node reads these when it listens, and looks at its connections that often.
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
  await Promise.all([door.app.close(), impatient.app.close()])
})

afterEach(async () => {
  const { status, body } = await post(review)
  expect([status, (JSON.parse(body) as { response: object }).response]).toEqual([
    200,
    expect.objectContaining({ uid: 'u1', allowed: true, patchType: 'JSONPatch' }),
  ])
  expect([...door.bugs, ...impatient.bugs]).toEqual([])
  await vi.waitFor(() => expect([door.underWay, impatient.underWay]).toEqual([nothing, nothing]))
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
  const socket = connect({ host: '127.0.0.1', port: to, servername: 'localhost', ca: door.ca })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  return socket
}

/** Writes it as it stands, and waits until the door has closed the connection. */
async function rawly(text: string | Buffer, to = port): Promise<string> {
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

describe('reviews that nobody has thought of', () => {
  it('are answered over a real connection as well (B8)', async () => {
    await fc.assert(
      fc.asyncProperty(wildReview, async (text) => {
        const { status, type, body } = await post(text)
        if (status !== 200) return expectRefusal(status, type, body)
        const { response } = JSON.parse(body) as { response: Record<string, unknown> }
        expectResponse(response)
        expect(response['allowed']).toBe(true)
      }),
      { numRuns: 150 },
    )
  })
})

describe('a sender', () => {
  it('that stops in the middle of the body is cut off', async () => {
    const answer = await rawly(`${head(['content-length: 1000'])}{"apiVersion":`, impatientPort)

    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  })

  it('that stops in the middle of the headers is cut off', async () => {
    expect(await rawly('POST /mutate HTTP/1.1\r\nhost: x\r\n', impatientPort)).toMatch(
      /^HTTP\/1\.1 408 /,
    )
  })

  it(
    'has ten seconds in all, and five for the headers, and is then told so',
    async () => {
      expect(senderLimits).toMatchObject({ requestMs: 10_000, headersMs: 5_000 })

      const socket = await open()
      let text = ''
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
      socket.write(head(['content-length: 9']).slice(0, -4))
      await once(socket, 'close')

      expect(text).toMatch(/^HTTP\/1\.1 408 /)
    },
    unhurried.timeout,
  )

  it('that goes away in the middle of the body is forgotten', async () => {
    const socket = await open()
    socket.write(`${head([`content-length: ${review.length}`])}${review.slice(0, 50)}`)
    await vi.waitFor(() => expect(door.underWay.requests).toBe(1))
    socket.destroy()
    await vi.waitFor(() => expect(door.underWay).toEqual(nothing))
  })

  it('that announces less than it sends is told so, and nothing is made of the rest', async () => {
    const answer = await rawly(`${head(['content-length: 10'])}${review}`)

    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  })

  it.each([
    ['more than is taken', [`content-length: ${maxReviewBytes + 1}`, 'connection: close'], 413],
    ['no number', ['content-length: many'], 400],
    ['less than nothing', ['content-length: -1'], 400],
    ['two lengths', ['content-length: 10', 'content-length: 11'], 400],
    ['a length and chunks', ['content-length: 10', 'transfer-encoding: chunked'], 400],
    ['a coding that is none', ['transfer-encoding: chunked, gzip'], 400],
  ])('that announces %s is refused before it has sent any of it', async (_, headers, status) => {
    expect(await rawly(head(headers))).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })

  // The connection may be reset before the answer is read, as the sender has not been heard out.
  it('of endless headers is stopped', async () => {
    expect(await rawly(head([`x: ${'y'.repeat(100_000)}`]))).toMatch(/^(?:HTTP\/1\.1 431 |$)/)
  })

  it.each([
    ['is told how much is taken', [`content-length: ${maxReviewBytes + 1}`], '413'],
    ['has sent what is no review', ['transfer-encoding: chunked'], '400'],
  ])('that %s and goes on sending leaves nothing behind', async (_, headers, status) => {
    const socket = await open()
    const answered = once(socket, 'data')
    socket.write(head(headers))
    if (status === '400') socket.write('1\r\n{\r\n0\r\n\r\n')
    const [answer] = (await answered) as [Buffer]
    for (let sent = 0; sent < 20; sent++) socket.write(Buffer.alloc(100_000, ' '))
    await vi.waitFor(() => expect(door.underWay.requests).toBe(0))
    socket.destroy()

    expect(answer.toString()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })

  it('of endless chunks is stopped', async () => {
    const chunk = `10000\r\n${' '.repeat(0x1_00_00)}\r\n`
    const answer = await rawly(
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
  ])('of %s, packed, is told that it is not JSON', async (_, packed) => {
    const body = Buffer.from(packed as string, 'latin1')
    const { status, type, body: text } = await post(body, { 'content-encoding': 'gzip' })

    expect(status).toBe(400)
    expectRefusal(status, type, text)
  })

  it.each([
    ['plain HTTP', whole(review)],
    ['nothing that is known', '\u0000\u0001\u0002\r\n\r\n'.repeat(100)],
  ])('of %s where TLS is spoken gets no answer', async (_, text) => {
    const socket = connectPlain(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(text)
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    await new Promise((resolve) => socket.once('close', resolve))

    expect(Buffer.concat(chunks).toString('latin1')).not.toContain('HTTP')
  })

  it.each([
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['HTTP/2 without having agreed on it', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['a path that is none', head(['content-length: 0', 'connection: close'], '/%zz'), 400],
    ['a method that is none', 'BREW /mutate HTTP/1.1\r\nhost: x\r\n\r\n', 400],
    ['no host', 'POST /mutate HTTP/1.1\r\n\r\n', 400],
  ])('of %s is told so', async (_, text, status) => {
    expect(await rawly(text)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })
})

describe('many at once', () => {
  it('on one connection are answered in their order', async () => {
    const uids = Array.from({ length: 20 }, (_, index) => `u${index}`)
    const texts = uids.map((uid, index) =>
      whole(
        reviewText(pod, { uid: JSON.stringify(uid) }),
        index === uids.length - 1 ? 'connection: close' : 'connection: keep-alive',
      ),
    )
    const answers = await rawly(texts.join(''))

    expect([...answers.matchAll(/"uid":"(u\d+)"/g)].map(([, uid]) => uid)).toEqual(uids)
  })

  it('of 8 MiB are shed before they take more memory than there is', unhurried, async () => {
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
        if (status !== 200) expectRefusal(status, type, text)
        return status
      }),
    )

    expect(answers.every((status) => status === 200 || status === 503)).toBe(true)
    expect((peak - before) / 2 ** 20).toBeLessThan(512)
  })
})

/** Small writes with waiting in between, so that what is measured is not the sender's own memory. */
function* inPieces(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 0x1_00_00) yield body.subarray(at, at + 0x1_00_00)
}
