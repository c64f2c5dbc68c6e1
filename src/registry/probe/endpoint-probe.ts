/** Tests the endpoint of a registry with a DNS lookup, a connection and a TLS handshake. Sends no request. */
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { ProxyError } from '../../proxy/proxy-error.ts'
import type { ProxyRules, ProxyServer } from '../../proxy/proxy-rules.ts'
import { connectToProxy, openTunnel } from '../../proxy/tunnel.ts'
import type { Network } from '../http/ip-ranges.ts'
import { AddressRefusedError, tlsAlertOf } from '../http/network-error.ts'

export type EndpointFault =
  /** The name has no address. */
  | 'dns'
  /** Berth must not connect to the address. */
  | 'off-limits'
  | 'refused'
  | 'timeout'
  | 'unroutable'
  | 'cut'
  /** The server does not use TLS. */
  | 'not-tls'
  /** The registry requires a client certificate, and the config has none. */
  | 'client-certificate'
  /** The proxy failed, or does not connect to the endpoint. */
  | 'proxy'
  | 'other'

export type CertificateProblem = 'unknown-ca' | 'wrong-name' | 'out-of-date'

export interface CertificateFacts {
  readonly issuer: string
  /** The DNS names and IP addresses that it is valid for. */
  readonly names: readonly string[]
  /** ISO 8601, to the second. */
  readonly validFrom: string
  readonly validTo: string
  /** Judged with the public CAs only, like a node without extra CAs. */
  readonly problems: readonly CertificateProblem[]
}

export interface EndpointProbeResult {
  /** The proxy that was used; null for a direct connection. */
  readonly proxy: string | null
  /** What is wrong with the proxy, for the fault `proxy`. */
  readonly proxyError: string | null
  /** Empty behind a proxy, which resolves the name itself. */
  readonly addresses: readonly string[]
  readonly fault: EndpointFault | null
  /** Null over plain HTTP, and without a handshake. */
  readonly certificate: CertificateFacts | null
}

export interface EndpointProbeOptions {
  readonly network: Network
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds for the connection and the handshake. */
  readonly answerMs: number
  readonly proxyFor: ProxyRules
  /** Whether requests to the registry send a client certificate. The probe sends none: it also connects to untrusted servers. */
  readonly hasClientCertificate: boolean
  /** The CAs for a proxy over TLS; null for those of Node.js. */
  readonly proxyCas: readonly string[] | null
}

const faults: Readonly<Record<string, EndpointFault>> = {
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ENODATA: 'dns',
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timeout',
  EHOSTUNREACH: 'unroutable',
  ENETUNREACH: 'unroutable',
  ECONNRESET: 'cut',
  EPIPE: 'cut',
  ERR_SSL_WRONG_VERSION_NUMBER: 'not-tls',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'not-tls',
}

/** Never rejects: an error becomes the `fault` of the result. */
export async function probeEndpoint(
  endpoint: URL,
  options: EndpointProbeOptions,
): Promise<EndpointProbeResult> {
  const { network, now, proxyFor } = options
  const hostname = endpoint.hostname.replace(/^\[|\]$/g, '')
  let addresses: readonly string[] = []
  let proxy: string | null = null
  try {
    const server = proxyFor(endpoint)
    proxy = server?.name ?? null
    // A proxy resolves names, but an address is an address.
    const resolved =
      server === null || isIP(hostname) !== 0 ? await addressesOf(hostname, network) : []
    if (server === null) addresses = resolved
    const open = server === null ? openDirectly(endpoint, resolved) : openThrough(server, endpoint)
    const socket = await open(options)
    const certificate =
      endpoint.protocol === 'https:' ? certificateOf(socket as TLSSocket, hostname, now()) : null
    socket.destroy()
    return { proxy, proxyError: null, addresses, fault: null, certificate }
  } catch (error) {
    const proxyError = error instanceof ProxyError ? error.message : null
    const fault = faultOf(error)
    // The requests send the certificate, and say whether the registry accepts it.
    const isExpected = fault === 'client-certificate' && options.hasClientCertificate
    return { proxy, proxyError, addresses, fault: isExpected ? null : fault, certificate: null }
  }
}

type Open = (options: Pick<EndpointProbeOptions, 'answerMs' | 'proxyCas'>) => Promise<Socket>

function openDirectly(endpoint: URL, addresses: readonly string[]): Open {
  const isTls = endpoint.protocol === 'https:'
  const host = addresses[0] ?? endpoint.hostname
  const port = portOf(endpoint)
  return ({ answerMs }) =>
    isTls
      ? waitForConnection(connectTls({ host, port, ...tlsOptions(endpoint) }), {
          event: 'secureConnect',
          answerMs,
        })
      : waitForConnection(connectTcp({ host, port }), { event: 'connect', answerMs })
}

function openThrough(proxy: ProxyServer, endpoint: URL): Open {
  return async ({ answerMs, proxyCas: ca }) => {
    const options = { proxy, ca, timeoutMs: answerMs }
    if (endpoint.protocol === 'http:') return connectToProxy(options)
    const socket = await openTunnel(`${endpoint.hostname}:${portOf(endpoint)}`, options)
    return waitForConnection(connectTls({ socket, ...tlsOptions(endpoint) }), {
      event: 'secureConnect',
      answerMs,
    })
  }
}

function portOf({ port, protocol }: URL): number {
  const defaultPort = protocol === 'https:' ? 443 : 80
  return port === '' ? defaultPort : Number(port)
}

/** Nothing is sent over this connection. The probe examines certificates that are not trusted. */
function tlsOptions({ hostname }: URL): ConnectionOptions {
  const isName = isIP(hostname.replace(/^\[|\]$/g, '')) === 0
  return { ...(isName ? { servername: hostname } : {}), rejectUnauthorized: false }
}

function addressesOf(hostname: string, network: Network): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    network.lookup(hostname, (error, addresses) => {
      if (error === null) resolve(addresses.map(({ address }) => address))
      else reject(error)
    })
  })
}

function waitForConnection<AnySocket extends Socket>(
  socket: AnySocket,
  { event, answerMs }: { readonly event: 'connect' | 'secureConnect'; readonly answerMs: number },
): Promise<AnySocket> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('no response in time'), { code: 'ETIMEDOUT' }))
    }, answerMs)
    socket.once(event, () => resolve(socket))
    // Not `once`: a second error would otherwise be uncaught.
    socket.on('error', reject)
    socket.once('close', () => {
      clearTimeout(timer)
      reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' }))
    })
  })
}

function certificateOf(socket: TLSSocket, hostname: string, now: number): CertificateFacts | null {
  const peer = socket.getPeerX509Certificate()
  if (peer === undefined) return null
  const names = (peer.subjectAltName ?? '')
    .split(', ')
    .map((name) => name.replace(/^(?:DNS|IP Address):/, ''))
    .filter((name) => name !== '')
  const [from, to] = [Date.parse(peer.validFrom), Date.parse(peer.validTo)]
  const matchingName = isIP(hostname) === 0 ? peer.checkHost(hostname) : peer.checkIP(hostname)
  const isInDate = from <= now && now <= to
  // Node.js reports only the first error. An error about the name or the dates means that the chain is trusted.
  const code = socket.authorized ? '' : String(socket.authorizationError)
  const isTrusted = code === '' || /ALTNAME|EXPIRED|NOT_YET_VALID/.test(code)
  return {
    issuer: /(?:^|\n)CN=(.+)/.exec(peer.issuer)?.[1] ?? peer.issuer.replaceAll('\n', ', '),
    names,
    validFrom: formatDate(from),
    validTo: formatDate(to),
    problems: [
      ...(isTrusted ? [] : (['unknown-ca'] as const)),
      ...(matchingName === undefined ? (['wrong-name'] as const) : []),
      ...(isInDate ? [] : (['out-of-date'] as const)),
    ],
  }
}

function formatDate(time: number): string {
  return Number.isNaN(time) ? 'unknown' : new Date(time).toISOString().replace('.000Z', 'Z')
}

function faultOf(error: unknown): EndpointFault {
  if (error instanceof AddressRefusedError) return 'off-limits'
  if (error instanceof ProxyError) return 'proxy'
  if (tlsAlertOf(error) !== null) return 'client-certificate'
  const { code } = error as NodeJS.ErrnoException
  return (code === undefined ? undefined : faults[code]) ?? 'other'
}
