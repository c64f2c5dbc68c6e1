/** Keeps connections to registries that only a pod names away from this machine and its cloud's credentials. */
import type { Network } from './ip-ranges.ts'
import { AddressRefusedError } from './network-error.ts'

/** Pods name hosts freely, so none of those hosts may lead to this machine or its link. */
export function refuseLocalAddresses(network: Network): Network {
  return {
    ...network,
    lookup: (hostname, done) => {
      network.lookup(hostname, (error, addresses) => {
        const isLocal =
          error === null &&
          addresses.some(({ address }) =>
            ['loopback', 'link-local', 'reserved'].includes(network.ipRangeOf(address)),
          )
        done(
          isLocal ? new AddressRefusedError(`${hostname} resolves to this machine`) : error,
          addresses,
        )
      })
    },
  }
}
