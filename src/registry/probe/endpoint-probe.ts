/** Tests the endpoint of a registry with a DNS lookup, a connection and a TLS handshake. Sends no request. */
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Network } from '../http/ip-ranges.ts'
import { AddressRefusedError } from '../http/network-error.ts'

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
  { network, now, answerMs }: EndpointProbeOptions,
): Promise<EndpointProbeResult> {
  const hostname = endpoint.hostname.replace(/^\[|\]$/g, '')
  const isTls = endpoint.protocol === 'https:'
  const port = endpoint.port === '' ? (isTls ? 443 : 80) : Number(endpoint.port)
  let addresses: readonly string[] = []
  try {
    addresses = await addressesOf(hostname, network)
    const [host = hostname] = addresses
    const socket = await waitForConnection(
      isTls
        ? connectTls({
            host,
            port,
            ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
            // Nothing is sent over this connection. The probe examines certificates that are not trusted.
            rejectUnauthorized: false,
          })
        : connectTcp({ host, port }),
      { event: isTls ? 'secureConnect' : 'connect', answerMs },
    )
    const certificate = isTls ? certificateOf(socket as TLSSocket, hostname, now()) : null
    socket.destroy()
    return { addresses, fault: null, certificate }
  } catch (error) {
    return { addresses, fault: faultOf(error), certificate: null }
  }
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
  const { code } = error as NodeJS.ErrnoException
  return (code === undefined ? undefined : faults[code]) ?? 'other'
}
