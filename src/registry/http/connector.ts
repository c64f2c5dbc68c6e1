/** Opens connections for one registry, and refuses addresses that the registry must not lead to. */
import { isIP } from 'node:net'
import { rootCertificates } from 'node:tls'
import { buildConnector } from 'undici'
import type { Network, ResolvedAddress } from './ip-ranges.ts'
import { AddressRefusedError } from './network-error.ts'
import { createPrivateNetwork } from './private-network.ts'

export interface ConnectorOptions {
  readonly network: Network
  readonly registryOrigin: string
  /** True for an origin that the config names. It may have any address. */
  readonly isListed: (origin: string) => boolean
  /** PEM of a private CA, trusted in addition to the public ones. */
  readonly ca: string | null
}

/** Less than the 2.5 s of a review, so that a host that drops packets differs from one that responds slowly. */
const connectTimeoutMs = 2_000

/**
 * Creates a connector for undici. The registry itself and the listed origins may have any address. Every other host must be
 * on the internet, or in the private network of the registry: the registry can reach that network anyway.
 *
 * The check uses the addresses that the connection is about to use, because a name can resolve to another address the next
 * time (DNS rebinding).
 */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const { network, registryOrigin, isListed, ca } = options
  const registryNetwork = createPrivateNetwork(network)

  const refusal = (hostname: string) =>
    new AddressRefusedError(
      `${hostname} resolves to an internal address, and the config does not list it`,
    )
  const create = (
    check: (hostname: string, addresses: readonly ResolvedAddress[]) => Error | null,
  ) =>
    buildConnector({
      allowH2: false,
      timeout: connectTimeoutMs,
      ...(ca === null ? {} : { ca: [...rootCertificates, ca] }),
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
  const connectToRegistry = create((_, addresses) => {
    for (const { address } of addresses) registryNetwork.add(address)
    return null
  })
  const connectChecked = create((hostname, addresses) =>
    addresses.every(({ address }) => registryNetwork.allows(address)) ? null : refusal(hostname),
  )

  return (target, callback) => {
    const origin = `${target.protocol}//${target.host ?? target.hostname}`
    // An address literal skips `lookup`.
    const isLiteral = isIP(target.hostname) !== 0
    if (origin === registryOrigin) {
      if (isLiteral) registryNetwork.add(target.hostname)
      connectToRegistry(target, callback)
    } else if (isListed(origin)) {
      connectAnywhere(target, callback)
    } else if (isLiteral && !registryNetwork.allows(target.hostname)) {
      callback(refusal(target.hostname), null)
    } else {
      connectChecked(target, callback)
    }
  }
}

function notFound(): NodeJS.ErrnoException {
  return Object.assign(new Error('no address'), { code: 'ENOTFOUND' })
}
