/** Decides which addresses a registry may lead to, from the addresses that it has itself. */
import { BlockList } from 'node:net'
import type { IpRange, Network } from './ip-ranges.ts'

export interface PrivateNetwork {
  /** Adds an address of the registry. */
  add(address: string): void
  /** Returns whether the registry may lead to the address. */
  allows(address: string): boolean
}

/** The prefix of one site in unique local addresses (RFC 4193, 3.1). Private IPv4 addresses have no such prefix. */
const sitePrefixLength = 48

/** A registry is in one site; the limit stops one whose name resolves to ever more addresses. */
const maxSites = 8

/** Ranges in which a registry may lead to other addresses of the range. Cloud metadata services are in none of them. */
const privateRanges: ReadonlySet<IpRange> = new Set(['private', 'unique-local'])

/**
 * Creates a network without addresses: it allows public addresses only. It also allows the private IPv4 addresses, or the IPv6
 * site, that the registry is in, unless the registry has addresses of another kind too. On loopback, it allows loopback.
 */
export function createPrivateNetwork({ ipRangeOf }: Pick<Network, 'ipRangeOf'>): PrivateNetwork {
  const ranges = new Set<IpRange>()
  const sites = new BlockList()

  const isOnly = (wanted: ReadonlySet<IpRange>) => [...ranges].every((range) => wanted.has(range))

  return {
    add(address) {
      const range = ipRangeOf(address)
      ranges.add(range)
      const isNewSite = range === 'unique-local' && !sites.check(address, 'ipv6')
      if (isNewSite && sites.rules.length < maxSites) {
        sites.addSubnet(address, sitePrefixLength, 'ipv6')
      }
    },
    allows(address) {
      const range = ipRangeOf(address)
      if (range === 'public') return true
      if (!ranges.has(range)) return false
      if (range === 'loopback') return ranges.size === 1
      if (!privateRanges.has(range) || !isOnly(privateRanges)) return false
      return range === 'private' || sites.check(address, 'ipv6')
    },
  }
}
