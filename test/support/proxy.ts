/** A forward proxy on loopback for tests: CONNECT, and requests with a whole URL. It resolves every name to 127.0.0.1. */
import { createServer, type IncomingMessage, request } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { TestCertificate } from './registry-tls.ts'

export interface FakeProxyOptions {
  readonly tls?: TestCertificate
  /** The proxy wants this user and password: `user:word`. */
  readonly login?: string
  /** Answers CONNECT in place of the proxy: with this text, or by what the function does. */
  readonly answer?: string | ((socket: Socket) => void)
}

export interface FakeProxy {
  readonly url: string
  /** `127.0.0.1:PORT`. */
  readonly host: string
  /** `CONNECT HOST:PORT`, or `GET URL`. */
  readonly requests: readonly string[]
  /** The headers of all requests. */
  readonly headers: readonly IncomingMessage['headers'][]
  close(): Promise<void>
}

export async function startFakeProxy(options: FakeProxyOptions = {}): Promise<FakeProxy> {
  const { tls, login, answer } = options
  const requests: string[] = []
  const headers: IncomingMessage['headers'][] = []
  const sockets = new Set<Socket>()
  const server = tls === undefined ? createServer() : createTlsServer(tls)
  const log = (incoming: IncomingMessage): boolean => {
    requests.push(`${incoming.method} ${incoming.url}`)
    headers.push(incoming.headers)
    const expected = `Basic ${Buffer.from(login ?? '').toString('base64')}`
    return login === undefined || incoming.headers['proxy-authorization'] === expected
  }
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  server.on('connect', (incoming: IncomingMessage, socket: Socket) => {
    const isAllowed = log(incoming)
    socket.on('error', () => undefined)
    if (typeof answer === 'function') {
      answer(socket)
      return
    }
    if (answer !== undefined || !isAllowed) {
      socket.end(answer ?? 'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
      return
    }
    const upstream = connect(Number(incoming.url?.split(':').at(-1)), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      socket.pipe(upstream).pipe(socket)
    })
    sockets.add(upstream)
    upstream.on('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'))
  })
  server.on('request', (incoming, response) => {
    if (!log(incoming)) {
      response.writeHead(407).end()
      return
    }
    const { port, pathname, search } = new URL(incoming.url ?? '')
    const { method, headers: sent } = incoming
    const path = pathname + search
    const upstream = request(
      { host: '127.0.0.1', port, method, path, headers: sent },
      (answered) => {
        response.writeHead(answered.statusCode ?? 0, answered.headers)
        answered.pipe(response)
      },
    )
    upstream.on('error', () => response.writeHead(502).end())
    incoming.pipe(upstream)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${host}`,
    host,
    requests,
    headers,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
