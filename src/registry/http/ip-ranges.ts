/**
 * Networks that a registry on the internet has no business to send anybody to. A name is judged by the addresses that
 * the connection is about to use, because a name can lead elsewhere the second time that it is looked up.
 */
import { lookup as systemLookup } from 'node:dns'
import { isIP } from 'node:net'

/** Where an address is; `public` for everything that is not set apart. */
export type IpRange = 'loopback' | 'link-local' | 'private' | 'reserved' | 'public'

export interface ResolvedAddress {
  readonly address: string
  readonly family: number
}

type Lookup = (
  hostname: string,
  done: (error: NodeJS.ErrnoException | null, addresses: readonly ResolvedAddress[]) => void,
) => void

/** Names and zones, as the transport sees them. */
export interface Network {
  readonly lookup: Lookup
  readonly ipRangeOf: (address: string) => IpRange
}

/** The network of this machine. */
export const systemNetwork: Network = {
  lookup: (hostname, done) => systemLookup(hostname, { all: true }, done),
  ipRangeOf,
}

/** First 32 bits, prefix length, zone (IANA IPv4 Special-Purpose Address Registry; multicast: RFC 5771). */
const zones4: readonly (readonly [string, number, IpRange])[] = [
  ['0.0.0.0', 8, 'reserved'],
  ['10.0.0.0', 8, 'private'],
  // RFC 6598, shared address space: pod networks of some clouds are made of it.
  ['100.64.0.0', 10, 'private'],
  ['127.0.0.0', 8, 'loopback'],
  ['169.254.0.0', 16, 'link-local'],
  ['172.16.0.0', 12, 'private'],
  // RFC 6890, protocol assignments, and two clouds' own services among public addresses.
  ['192.0.0.0', 24, 'reserved'],
  ['168.63.129.16', 32, 'reserved'],
  ['192.168.0.0', 16, 'private'],
  // RFC 2544, benchmarks.
  ['198.18.0.0', 15, 'private'],
  ['224.0.0.0', 4, 'reserved'],
  ['240.0.0.0', 4, 'reserved'],
]

/** Tells the zone of a literal address; text that is no address is `reserved`, which nothing may be sent to. */
export function ipRangeOf(address: string): IpRange {
  const family = isIP(address)
  if (family === 4) return ipRangeOf4(toNumber4(address))
  return family === 6 ? ipRangeOf6(toGroups(address)) : 'reserved'
}

function ipRangeOf4(value: number): IpRange {
  const found = zones4.find(([network, length]) => {
    // A shift by 32 would be one by 0, but no prefix here is empty.
    return (value ^ toNumber4(network)) >>> (32 - length) === 0
  })
  return found?.[2] ?? 'public'
}

function toNumber4(address: string): number {
  return address.split('.').reduce((value, part) => ((value << 8) | Number(part)) >>> 0, 0)
}

/** IANA IPv6 Special-Purpose Address Registry. */
function ipRangeOf6(groups: readonly number[]): IpRange {
  const [first = 0, second = 0] = groups
  const embedded = embedded4(groups)
  if (groups.slice(0, 7).every((group) => group === 0) && groups[7] === 1) return 'loopback'
  if (embedded !== null) return ipRangeOf4(embedded)
  if ((first & 0xffc0) === 0xfe80) return 'link-local'
  // RFC 4193, and the site-local addresses that it replaced (RFC 3879).
  if ((first & 0xfe00) === 0xfc00 || (first & 0xffc0) === 0xfec0) return 'private'
  // RFC 8215: translation inside one network, to whatever IPv4 address is in the rest.
  if (first === 0x64 && second === 0xff9b) return 'private'
  return (first & 0xff00) === 0xff00 ? 'reserved' : 'public'
}

/** ::ffff:0:0/96, ::/96 and 64:ff9b::/96, in decimal. */
const prefixes4: readonly string[] = ['0:0:0:0:0:65535', '0:0:0:0:0:0', '100:65435:0:0:0:0']

/** An IPv4 address inside an IPv6 one: mapped or compatible (RFC 4291, 2.5.5), NAT64 (RFC 6052) or 6to4 (RFC 3056). */
function embedded4(groups: readonly number[]): number | null {
  const prefix = groups.slice(0, 6).join(':')
  const join = (high = 0, low = 0) => ((high << 16) | low) >>> 0
  if (prefixes4.includes(prefix)) {
    return join(groups[6], groups[7])
  }
  return groups[0] === 0x2002 ? join(groups[1], groups[2]) : null
}

function toGroups(address: string): number[] {
  // The URL parser writes the trailing IPv4 part of an address as groups. It knows no zone identifiers.
  const [bare = ''] = address.split('%', 1)
  const text = new URL(`http://[${bare}]`).hostname.slice(1, -1)
  const [left = '', right] = text.split('::')
  const parse = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  if (right === undefined) return parse(left)
  const [head, tail] = [parse(left), parse(right)]
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => 0)
  return [...head, ...zeros, ...tail]
}
