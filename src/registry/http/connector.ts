/** Opens connections for one registry, and refuses addresses that the registry must not lead to. */
import { isIP, type Socket } from 'node:net'
import { getCACertificates } from 'node:tls'
import { buildConnector } from 'undici'
import type { ProxyRules, ProxyServer } from '../../proxy/proxy-rules.ts'
import { connectToProxy, openTunnel } from '../../proxy/tunnel.ts'
import type { Network, ResolvedAddress } from './ip-ranges.ts'
import { AddressRefusedError } from './network-error.ts'
import { createPrivateNetwork } from './private-network.ts'

/** Both in PEM. The key is never shown. */
export interface ClientCertificate {
  readonly cert: string
  readonly key: string
}

/** Returns the current certificate; the same object while it has not changed. Throws RequestFailedError. */
export type LoadClientCertificate = () => ClientCertificate

export interface ConnectorOptions {
  readonly network: Network
  readonly registryOrigin: string
  /** True for an origin that the config names. It may have any address. */
  readonly isListed: (origin: string) => boolean
  /** PEM of a private CA, trusted in addition to the public ones, also for a proxy over TLS. */
  readonly ca: string | null
  readonly proxyFor: ProxyRules
  /** Only the registry itself receives it: no proxy, no token server of another host, and no target of a redirect. */
  readonly clientCertificate: LoadClientCertificate | null
}

/** Go exempts only `localhost` itself from a proxy. The others are loopback names too (RFC 6761, 6.3). */
const localName = /(?:^|\.)localhost\.?$/i

/** Less than the 2.5 s of a review, so that a host that drops packets differs from one that responds slowly. */
const connectTimeoutMs = 2_000

/**
 * Creates a connector for undici. The registry itself and the listed origins may have any address. Every other host must be
 * on the internet, or in the private network of the registry: the registry can reach that network anyway.
 *
 * The check uses the addresses that the connection is about to use, because a name can resolve to another address the next
 * time (DNS rebinding). A proxy resolves names itself, so behind one only address literals are checked.
 */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const { network, registryOrigin, isListed, ca, proxyFor, clientCertificate } = options
  const registryNetwork = createPrivateNetwork(network)
  const cas = ca === null ? null : [...getCACertificates('default'), ca]

  const refusal = (hostname: string) =>
    new AddressRefusedError(
      `${hostname} resolves to an internal address, and the config does not list it`,
    )
  const create = (
    check: (hostname: string, addresses: readonly ResolvedAddress[]) => Error | null,
    certificate: ClientCertificate | null = null,
  ) =>
    buildConnector({
      allowH2: false,
      timeout: connectTimeoutMs,
      ...(cas === null ? {} : { ca: cas }),
      ...certificate,
      lookup: (hostname, { all }, done) => {
        network.lookup(hostname, (lookupError, addresses) => {
          const [first] = addresses ?? []
          const error = lookupError ?? check(hostname, addresses)
          if (error !== null || first === undefined) done(error ?? notFound(), '', 4)
          else if (all === true) done(null, [...addresses])
          else done(null, first.address, first.family)
        })
      },
    })
  const connectAnywhere = create(() => null)
  const createForRegistry = (certificate: ClientCertificate | null) =>
    create((_, addresses) => {
      for (const { address } of addresses) registryNetwork.add(address)
      return null
    }, certificate)
  const registryConnector = cacheByCertificate(createForRegistry, clientCertificate)
  const connectChecked = create((hostname, addresses) =>
    addresses.every(({ address }) => registryNetwork.allows(address)) ? null : refusal(hostname),
  )

  return (target, onConnected) => {
    const callback = endOnError(onConnected)
    const origin = `${target.protocol}//${target.host ?? target.hostname}`
    // An address literal skips `lookup`.
    const isLiteral = isIP(target.hostname) !== 0
    const isRegistry = origin === registryOrigin
    if (isRegistry && isLiteral) registryNetwork.add(target.hostname)
    const isUnlisted = !isRegistry && !isListed(origin)
    if (isUnlisted && isLiteral && !registryNetwork.allows(target.hostname)) {
      callback(refusal(target.hostname), null)
      return
    }
    let direct = isUnlisted ? connectChecked : connectAnywhere
    try {
      if (isRegistry) direct = registryConnector()
    } catch (error) {
      callback(error as Error, null)
      return
    }
    const proxy = proxyFor(new URL(origin))
    if (proxy === null) direct(target, callback)
    else if (isUnlisted && localName.test(target.hostname)) callback(refusal(target.hostname), null)
    else void connectThrough(proxy, target, { cas, direct, callback })
  }
}

/**
 * An alert of TLS 1.3 arrives after the handshake, and with the end of the connection, which undici would report in its place. A
 * destroyed socket emits no end.
 */
function endOnError(onConnected: buildConnector.Callback): buildConnector.Callback {
  return (...result) => {
    const [, socket] = result
    socket?.once('error', (error) => socket.destroy(error))
    onConnected(...result)
  }
}

/** A new certificate gets a new connector: a resumed TLS session would keep the old one. */
function cacheByCertificate(
  create: (certificate: ClientCertificate | null) => buildConnector.connector,
  load: LoadClientCertificate | null,
): () => buildConnector.connector {
  let current: ClientCertificate | null = null
  let connector: buildConnector.connector | null = null
  return () => {
    const certificate = load?.() ?? null
    if (connector === null || certificate !== current) connector = create(certificate)
    current = certificate
    return connector
  }
}

interface ProxiedConnect {
  readonly cas: readonly string[] | null
  /** Starts TLS with the host behind the proxy. */
  readonly direct: buildConnector.connector
  readonly callback: buildConnector.Callback
}

/** Tunnels to an https host. Requests for an http host go to the proxy itself, with the whole URL (RFC 9112, 3.2.2). */
async function connectThrough(
  proxy: ProxyServer,
  target: buildConnector.Options,
  { cas, direct, callback }: ProxiedConnect,
): Promise<void> {
  const options = { proxy, ca: cas, timeoutMs: connectTimeoutMs }
  const { hostname, port, protocol } = target
  const authority = `${isIP(hostname) === 6 ? `[${hostname}]` : hostname}:${port || 443}`
  const isTls = protocol === 'https:'
  let socket: Socket
  try {
    socket = await (isTls ? openTunnel(authority, options) : connectToProxy(options))
  } catch (error) {
    callback(error as Error, null)
    return
  }
  if (isTls) direct({ ...target, httpSocket: socket }, callback)
  else callback(null, socket)
}

function notFound(): NodeJS.ErrnoException {
  return Object.assign(new Error('no address'), { code: 'ENOTFOUND' })
}
