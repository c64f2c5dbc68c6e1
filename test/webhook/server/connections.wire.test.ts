import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLane } from '../../../src/async/lane.ts'
import type { Admission } from '../../../src/webhook/admission/admit.ts'
import { unchanged } from '../../../src/webhook/admission/admission-response.ts'
import { type App, createApp, tlsOptions } from '../../../src/webhook/server/app.ts'
import type { ClientAuthentication } from '../../../src/webhook/server/client-auth.ts'
import { createConcurrencyLimit } from '../../../src/webhook/server/concurrency-limit.ts'
import {
  type Certificates,
  makeCertificates,
} from '../../../src/webhook/certificate/self-signed.ts'
import { createWebhookMetrics } from '../../../src/telemetry/webhook-metrics.ts'
import { makeClientCertificate } from '../../support/client-certificate.ts'
import { podOf, reviewOf } from '../../support/reviews.ts'

const admission: Admission = {
  verdict: unchanged,
  decisions: [],
  rest: null,
  mode: 'enforce',
  isFailed: false,
}
const body = JSON.stringify(reviewOf(podOf(['nginx'])))
let app: App
let certificates: Certificates
let port: number
let isDraining: boolean
let admit: () => Promise<Admission>
let signals: AbortSignal[]

async function start(clients: ClientAuthentication | null = null): Promise<void> {
  app = await createApp({
    lane: createLane(),
    tls: certificates.leaf,
    clients,
    limit: createConcurrencyLimit(() => performance.now()),
    isDraining: () => isDraining,
    metrics: createWebhookMetrics({
      isListed: () => false,
      circuits: () => new Map(),
      droppedLogLines: () => 0,
    }),
    log: () => undefined,
    onBug: (error) => {
      throw error
    },
    admit: (_, { signal }) => {
      signals.push(signal())
      return admit()
    },
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  port = (app.server.address() as AddressInfo).port
}

beforeEach(async () => {
  certificates = await makeCertificates({
    names: ['localhost', '127.0.0.1'],
    days: 1,
    now: new Date(),
  })
  isDraining = false
  signals = []
  admit = () => Promise.resolve(admission)
})

afterEach(() => app.close())

function post(
  agent: Agent,
  headers: Record<string, string> = {},
): Promise<{
  status: number
  connection: string | undefined
  keepAlive: string | undefined
  text: string
}> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        host: '127.0.0.1',
        port,
        path: '/mutate?timeout=5s',
        method: 'POST',
        agent,
        headers: { 'content-type': 'application/json', ...headers },
      },
      (response: IncomingMessage) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            connection: response.headers.connection,
            keepAlive: response.headers['keep-alive']?.toString(),
            text,
          }),
        )
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

const agentWith = (more: object = {}) =>
  new Agent({ keepAlive: true, maxSockets: 1, ca: certificates.ca.cert, ...more })

describe('a renewed certificate', () => {
  it('is used for new connections and leaves open ones alone', async () => {
    await start()
    const [old, fresh] = [agentWith(), agentWith()]
    await post(old)
    const renewed = await makeCertificates({
      names: ['localhost', '127.0.0.1'],
      days: 1,
      now: new Date(),
    })
    app.server.setSecureContext({ ...renewed.leaf })

    expect((await post(old)).status).toBe(200)
    await expect(post(fresh)).rejects.toThrow(/signature|self-signed|unable to verify/)
    expect((await post(new Agent({ ca: renewed.ca.cert }))).status).toBe(200)
    old.destroy()
    fresh.destroy()
  })
})

describe('a server that drains', () => {
  it('answers reviews and asks callers to close the connection', async () => {
    await start()
    const agent = agentWith()
    expect((await post(agent)).connection).toBe('keep-alive')
    isDraining = true

    expect(await post(agent)).toMatchObject({ status: 200, connection: 'close' })
    agent.destroy()
  })

  it('keeps idle connections open until it closes', async () => {
    await start()
    const agent = agentWith()
    await post(agent)
    const [socket] = Object.values(agent.freeSockets).flat()
    isDraining = true

    expect(socket?.destroyed).toBe(false)
    expect((await post(agent)).status).toBe(200)
    agent.destroy()
  })
})

describe('an idle connection', () => {
  it('stays open for longer than the 90 seconds after which an API server closes it', async () => {
    await start()
    const agent = agentWith()
    const { keepAlive } = await post(agent)
    agent.destroy()

    expect(Number(/^timeout=(\d+)$/.exec(keepAlive ?? '')?.[1])).toBeGreaterThanOrEqual(120)
  })
})

describe('a caller that closes the connection', () => {
  it('aborts the work for its review', async () => {
    await start()
    const { promise: entered, resolve: enter } = Promise.withResolvers<void>()
    admit = () => {
      enter()
      return new Promise((resolve) =>
        signals[0]?.addEventListener('abort', () => resolve(admission)),
      )
    }
    const socket = connect({ host: '127.0.0.1', port, ca: certificates.ca.cert })
    socket.write(
      `POST /mutate?timeout=30s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    await entered
    socket.destroy()
    await once(signals[0] as AbortSignal, 'abort')

    expect(signals[0]?.aborted).toBe(true)
  })
})

describe('large bodies', () => {
  const mebibyte = 1024 * 1024

  /** Sends so many bytes of a body of 8 MiB, and then nothing. */
  async function stuckAfter(bytes: number): Promise<TLSSocket> {
    const socket = connect({ host: '127.0.0.1', port, ca: certificates.ca.cert })
    await once(socket, 'secureConnect')
    const head = `POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${8 * mebibyte}\r\n\r\n`
    const arrived = once(app.server, 'request')
    socket.write(head)
    await arrived
    if (bytes > 0) await new Promise((resolve) => socket.write(Buffer.alloc(bytes, ' '), resolve))
    return socket
  }

  it('do not count by what callers announce and never send', async () => {
    await start()
    const sockets = await Promise.all(Array.from({ length: 6 }, () => stuckAfter(0)))
    const agent = agentWith()
    const { status } = await post(agent)
    for (const socket of sockets) socket.destroy()
    agent.destroy()

    expect(status).toBe(200)
  })

  it('are answered with 503 above 24 MiB of received bytes of one caller, while small ones get an answer', async () => {
    await start()
    const sockets: TLSSocket[] = []
    for (let index = 0; index < 4; index++) sockets.push(await stuckAfter(7 * mebibyte))
    const shed = await Promise.race(
      sockets.map(async (socket) => String((await once(socket, 'data'))[0])),
    )
    const agent = agentWith()
    const { status } = await post(agent)
    for (const socket of sockets) socket.destroy()
    agent.destroy()

    expect(shed).toMatch(/^HTTP\/1\.1 503 /)
    expect(status).toBe(200)
  })
})

describe('a body in pieces', () => {
  /** Sends a review in HTTP chunks of so many bytes. Returns the status, and whether the connection was closed. */
  async function sendInChunks(bytes: number): Promise<{ status: number; isClosed: boolean }> {
    const socket = connect({ host: '127.0.0.1', port, ca: certificates.ca.cert })
    await once(socket, 'secureConnect')
    const closed = once(socket, 'close').then(() => true)
    const answered = once(socket, 'data')
    const text = body.padEnd(20_000)
    const chunks = text.match(new RegExp(`.{1,${bytes}}`, 'g')) ?? []
    const head = `POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`
    socket.write(
      `${head}${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`,
    )
    const status = Number(String((await answered)[0]).slice(9, 12))
    // An answer to another request shows that the connection stays open.
    socket.write('GET /other HTTP/1.1\r\nhost: x\r\n\r\n')
    const isClosed = await Promise.race([closed, once(socket, 'data').then(() => false)])
    socket.destroy()
    return { status, isClosed }
  }

  it('is refused if the pieces are tiny, and the connection is closed', async () => {
    await start()

    expect(await sendInChunks(1)).toEqual({ status: 400, isClosed: true })
    expect(await sendInChunks(200)).toEqual({ status: 200, isClosed: false })
  })
})

describe('client certificates', async () => {
  const trusted = await makeClientCertificate('api-server.example')
  const wrongCa = await makeClientCertificate('api-server.example')
  const names = ['api-server.example']

  it.each([
    [null, 'no certificate', {}, names],
    [null, 'a certificate of another CA', wrongCa.client, names],
    [403, 'a certificate for another name', trusted.client, ['other.example']],
    [200, 'a certificate for an allowed DNS name', trusted.client, names],
    [200, 'a certificate for an allowed common name', trusted.client, ['caller']],
    [200, 'any certificate of the CA, when no names are set', trusted.client, []],
  ])('give the status %s to %s', async (want, _, pair, allowed) => {
    await start({ ca: trusted.ca.cert, names: allowed })
    const agent = agentWith(pair)
    const status = await post(agent).then(
      (answer) => answer.status,
      () => null,
    )
    agent.destroy()

    expect(status).toBe(want)
  })

  it('are still required after the serving certificate was renewed', async () => {
    const clients = { ca: trusted.ca.cert, names: [] }
    await start(clients)
    const renewed = await makeCertificates({
      names: ['localhost', '127.0.0.1'],
      days: 1,
      now: new Date(),
    })
    app.server.setSecureContext(tlsOptions(renewed.leaf, clients))
    const [right, wrong] = [trusted.client, wrongCa.client].map(
      (pair) => new Agent({ ca: renewed.ca.cert, ...pair }),
    )

    expect((await post(right as Agent)).status).toBe(200)
    await expect(post(wrong as Agent)).rejects.toThrow(/socket hang up|alert|ECONNRESET|EPIPE/)
  })

  it('cannot be skipped by resuming a session', async () => {
    await start({ ca: trusted.ca.cert, names })
    const sessions: Buffer[] = []
    const socket = connect({ host: '127.0.0.1', port, ca: certificates.ca.cert, ...trusted.client })
    socket.on('session', (session: Buffer) => sessions.push(session))
    await once(socket, 'secureConnect')
    socket.end('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    await once(socket.resume(), 'close')
    const [session] = sessions
    const again = connect({
      host: '127.0.0.1',
      port,
      ca: certificates.ca.cert,
      ...trusted.client,
      ...(session === undefined ? {} : { session }),
    })
    await once(again, 'secureConnect')
    const isReused = again.isSessionReused()
    again.destroy()

    expect(isReused).toBe(false)
  })
})
