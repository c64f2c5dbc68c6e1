/** Opens connections through a forward proxy with CONNECT (RFC 9110, 9.3.6). */
import { request } from 'node:http'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { ProxyError, proxyErrorFor, proxyErrorForStatus } from './proxy-error.ts'
import type { ProxyServer } from './proxy-rules.ts'

export interface ProxyConnectOptions {
  readonly proxy: ProxyServer
  /** The CAs for a proxy over TLS; null for those of Node.js. */
  readonly ca: readonly string[] | null
  /** Milliseconds for the connection and the proxy's response together. */
  readonly timeoutMs: number
}

/** The value that undici uses for direct connections. */
const keepAliveMs = 60_000

/** Connects to a proxy. Rejects with ProxyError. */
export async function connectToProxy(options: ProxyConnectOptions): Promise<Socket> {
  const { proxy, ca, timeoutMs } = options
  const { hostname: host, port } = proxy
  const isTls = proxy.protocol === 'https:'
  const socket = isTls
    ? connectTls({
        host,
        port,
        ...(isIP(host) === 0 ? { servername: host } : {}),
        ...(ca === null ? {} : { ca: [...ca] }),
      })
    : connectTcp({ host, port })
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      clearTimeout(timer)
      socket.destroy()
      reject(proxyErrorFor(error, proxy))
    }
    const timer = setTimeout(() => fail({ code: 'ETIMEDOUT' }), timeoutMs)
    // Not `once`: a second error would otherwise be uncaught.
    socket.on('error', fail)
    socket.once('close', () => fail({ code: 'ECONNRESET' }))
    socket.once(isTls ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer)
      socket.removeAllListeners('close')
      socket.setNoDelay(true)
      socket.setKeepAlive(true, keepAliveMs)
      resolve(socket)
    })
  })
}

/** Opens a tunnel to `HOST:PORT`. Rejects with ProxyError. */
export async function openTunnel(host: string, options: ProxyConnectOptions): Promise<Socket> {
  const { proxy, timeoutMs } = options
  const started = performance.now()
  const socket = await connectToProxy(options)
  const leftMs = Math.max(1, timeoutMs - (performance.now() - started))
  return new Promise((resolve, reject) => {
    const { authorization } = proxy
    const connecting = request({
      method: 'CONNECT',
      path: host,
      createConnection: () => socket,
      headers: {
        host,
        'user-agent': 'berth',
        ...(authorization === null ? {} : { 'proxy-authorization': authorization }),
      },
    })
    const fail = (error: unknown) => {
      clearTimeout(timer)
      connecting.destroy()
      socket.destroy()
      reject(proxyErrorFor(error, proxy))
    }
    const timer = setTimeout(() => {
      fail(new ProxyError(`the proxy ${proxy.name} did not connect to ${host} in time`))
    }, leftMs)
    connecting.on('error', fail)
    connecting.once(
      'connect',
      ({ statusCode: status = 0, headers }, tunnel: Socket, head: Buffer) => {
        if (status < 200 || status >= 300) {
          const squidError = headers['x-squid-error']
          const shown = typeof squidError === 'string' ? squidError : undefined
          fail(proxyErrorForStatus(proxy, host, { status, squidError: shown }))
          return
        }
        clearTimeout(timer)
        if (head.length > 0) tunnel.unshift(head)
        resolve(tunnel)
      },
    )
    connecting.end()
  })
}
