/** Who may be connected to on behalf of one registry, checked on the addresses that the connection is about to use. */
import { isIP } from 'node:net'
import { rootCertificates } from 'node:tls'
import { buildConnector } from 'undici'
import type { ResolvedAddress, Network, IpRange } from './ip-ranges.ts'
import { AddressRefusedError } from './network-error.ts'

export interface ConnectorOptions {
  readonly network: Network
  /** The registry's own origin. */
  readonly registryOrigin: string
  /** Origins that the configuration names: they may be anywhere. */
  readonly listedOrigins: ReadonlySet<string>
  /** PEM of a private CA, beside the public ones. */
  readonly ca: string | null
}

/** Below the 2.5 s that a review has at most: a host that drops packets is told from one that is slow to answer. */
const connectTimeoutMs = 2_000

/**
 * A connector for undici. The registry itself and what is listed may have any address. Everything else must be on the
 * internet, or in the very zone that the registry is in: then it can be reached from there anyway.
 */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const { network, registryOrigin, listedOrigins, ca } = options
  /** Every zone in which the registry has been. More than one, and it counts as being on the internet. */
  const homeZones = new Set<IpRange>()

  const isAllowed = (address: string) => {
    const zone = network.ipRangeOf(address)
    return zone === 'public' || (homeZones.size === 1 && homeZones.has(zone))
  }
  const refusal = (hostname: string) =>
    new AddressRefusedError(
      `${hostname} leads into an internal network, which this registry may not send anybody to`,
    )
  const create = (
    check: (hostname: string, addresses: readonly ResolvedAddress[]) => Error | null,
  ) =>
    buildConnector({
      allowH2: false,
      timeout: connectTimeoutMs,
      ...(ca === null ? {} : { ca: [...rootCertificates, ca] }),
      lookup: (hostname, { all }, done) => {
        network.lookup(hostname, (error, addresses) => {
          const [first] = addresses ?? []
          const fault = error ?? check(hostname, addresses)
          if (fault !== null || first === undefined) done(fault ?? notFound(), '', 4)
          else if (all === true) done(null, [...addresses])
          else done(null, first.address, first.family)
        })
      },
    })
  const free = create(() => null)
  const guarded = create((hostname, addresses) =>
    addresses.every(({ address }) => isAllowed(address)) ? null : refusal(hostname),
  )

  return (target, callback) => {
    const origin = `${target.protocol}//${target.host ?? target.hostname}`
    if (origin === registryOrigin) {
      free(target, (...result) => {
        // Typed as null, but absent altogether when the connection failed.
        const socket: (typeof result)[1] | undefined = result[1]
        if (socket) homeZones.add(network.ipRangeOf(socket.remoteAddress ?? ''))
        callback(...result)
      })
    } else if (listedOrigins.has(origin)) {
      free(target, callback)
    } else if (isIP(target.hostname) !== 0 && !isAllowed(target.hostname)) {
      // A literal address is never looked up.
      callback(refusal(target.hostname), null)
    } else {
      guarded(target, callback)
    }
  }
}

function notFound(): NodeJS.ErrnoException {
  return Object.assign(new Error('no address'), { code: 'ENOTFOUND' })
}
