/** Classifies IP addresses, so that a registry on the internet cannot send Berth into an internal network. */
import { lookup as systemLookup } from 'node:dns'
import { BlockList, isIP } from 'node:net'

/**
 * The kind of range that an address is in; `public` if it is in no special-purpose range. `unique-local` is the private range
 * of IPv6 (RFC 4193).
 */
export type IpRange = 'loopback' | 'link-local' | 'private' | 'unique-local' | 'reserved' | 'public'

export interface ResolvedAddress {
  readonly address: string
  readonly family: number
}

type Lookup = (
  hostname: string,
  done: (error: NodeJS.ErrnoException | null, addresses: readonly ResolvedAddress[]) => void,
) => void

/** Name resolution and address classification, replaceable in tests. */
export interface Network {
  readonly lookup: Lookup
  readonly ipRangeOf: (address: string) => IpRange
}

/** The resolver of this machine. */
export const systemNetwork: Network = {
  lookup: (hostname, done) => systemLookup(hostname, { all: true }, done),
  ipRangeOf,
}

type Subnet = readonly [address: string, prefixLength: number, range: IpRange]

/** IANA IPv4 Special-Purpose Address Registry; multicast: RFC 5771. */
const ipv4Subnets: readonly Subnet[] = [
  ['0.0.0.0', 8, 'reserved'],
  ['10.0.0.0', 8, 'private'],
  // Shared address space (RFC 6598), which some clouds use for pod networks.
  ['100.64.0.0', 10, 'private'],
  // Alibaba Cloud's metadata service.
  ['100.100.100.200', 32, 'reserved'],
  ['127.0.0.0', 8, 'loopback'],
  ['169.254.0.0', 16, 'link-local'],
  ['172.16.0.0', 12, 'private'],
  // Protocol assignments (RFC 6890); 192.0.0.192 is Oracle Cloud's metadata service.
  ['192.0.0.0', 24, 'reserved'],
  // Documentation (RFC 5737).
  ['192.0.2.0', 24, 'reserved'],
  ['198.51.100.0', 24, 'reserved'],
  ['203.0.113.0', 24, 'reserved'],
  // Azure's platform services (WireServer), at a public address.
  ['168.63.129.16', 32, 'reserved'],
  ['192.168.0.0', 16, 'private'],
  // Benchmarks (RFC 2544).
  ['198.18.0.0', 15, 'private'],
  ['224.0.0.0', 4, 'reserved'],
  ['240.0.0.0', 4, 'reserved'],
]

/** IANA IPv6 Special-Purpose Address Registry. */
const ipv6Subnets: readonly Subnet[] = [
  ['fe80::', 10, 'link-local'],
  ['fc00::', 7, 'unique-local'],
  // Metadata services of clouds, which have unique local addresses: AWS, Google, Oracle, Akamai, Scaleway, Alibaba.
  ['fd00:ec2::', 32, 'reserved'],
  ['fd20:ce::', 32, 'reserved'],
  ['fd00:c1::a9fe:a9fe', 128, 'reserved'],
  ['fd00:a9fe:a9fe::', 48, 'reserved'],
  ['fd00:42::42', 128, 'reserved'],
  ['fd00:100::100:200', 128, 'reserved'],
  // Site-local addresses (RFC 3879), which unique local addresses replaced.
  ['fec0::', 10, 'reserved'],
  // The rest of NAT64: prefixes within one network (RFC 8215), whose place for the IPv4 address is not known.
  ['64:ff9b::', 32, 'reserved'],
  // Discard-only (RFC 6666).
  ['100::', 64, 'reserved'],
  // Protocol assignments (RFC 2928), among them Teredo (RFC 4380), which leads to any IPv4 address.
  ['2001::', 23, 'reserved'],
  // Documentation (RFC 3849, RFC 9637).
  ['2001:db8::', 32, 'reserved'],
  ['3fff::', 20, 'reserved'],
  // Segment routing (RFC 9602).
  ['5f00::', 16, 'reserved'],
  ['ff00::', 8, 'reserved'],
]

/** IPv6 prefixes that are followed by an IPv4 address; each address in them is judged by that IPv4 address. */
const embeddings: readonly {
  readonly prefix: string
  readonly prefixLength: number
  readonly embed: (ipv4: string) => string
}[] = [
  // IPv4-mapped and IPv4-compatible (RFC 4291, 2.5.5).
  { prefix: '::ffff:0:0', prefixLength: 96, embed: (ipv4) => `::ffff:${ipv4}` },
  { prefix: '::', prefixLength: 96, embed: (ipv4) => `::${ipv4}` },
  // IPv4-translated (RFC 2765).
  { prefix: '::ffff:0:0:0', prefixLength: 96, embed: (ipv4) => `::ffff:0:${ipv4}` },
  // NAT64 (RFC 6052), and its usual prefix within one network (RFC 8215).
  { prefix: '64:ff9b::', prefixLength: 96, embed: (ipv4) => `64:ff9b::${ipv4}` },
  { prefix: '64:ff9b:1::', prefixLength: 96, embed: (ipv4) => `64:ff9b:1::${ipv4}` },
  // 6to4 (RFC 3056).
  { prefix: '2002::', prefixLength: 16, embed: (ipv4) => `2002:${toHex(ipv4)}::` },
]

/** The first list that contains an address decides. */
const ipv4Ranges = blockListsOf('ipv4', ipv4Subnets)
const ipv6Ranges = [
  // ::1 is also in the range of IPv4-compatible addresses.
  ...blockListsOf('ipv6', [['::1', 128, 'loopback']]),
  ...blockListsOf('ipv6', embeddings.flatMap(embedSubnets)),
  ...blockListsOf('ipv6', ipv6Subnets),
]

/** Returns the range of an IP address. Text that is not an IP address is `reserved`, so that it is never contacted. */
function ipRangeOf(address: string): IpRange {
  const family = isIP(address)
  if (family === 0) return 'reserved'
  const [bare = ''] = address.split('%', 1)
  const [type, ranges] =
    family === 4 ? (['ipv4', ipv4Ranges] as const) : (['ipv6', ipv6Ranges] as const)
  return ranges.find(({ list }) => list.check(bare, type))?.range ?? 'public'
}

/** The IPv4 subnets inside an IPv6 prefix; the rest of the prefix is public. */
function embedSubnets({ prefix, prefixLength, embed }: (typeof embeddings)[number]): Subnet[] {
  return [
    ...ipv4Subnets.map(([ipv4, length, range]): Subnet => [
      embed(ipv4),
      prefixLength + length,
      range,
    ]),
    [prefix, prefixLength, 'public'],
  ]
}

interface RangeList {
  readonly range: IpRange
  readonly list: BlockList
}

/** One list for each range: `reserved` before the private ranges that contain some of it, and `public` last: the rest of a prefix. */
function blockListsOf(type: 'ipv4' | 'ipv6', subnets: readonly Subnet[]): readonly RangeList[] {
  const order: readonly IpRange[] = [
    'loopback',
    'link-local',
    'reserved',
    'private',
    'unique-local',
    'public',
  ]
  return order.map((range) => {
    const list = new BlockList()
    for (const [address, prefixLength, each] of subnets)
      if (each === range) list.addSubnet(address, prefixLength, type)
    return { range, list }
  })
}

/** `10.0.0.1` as two IPv6 groups: `0a00:0001`. */
function toHex(ipv4: string): string {
  const [a = '', b = '', c = '', d = ''] = ipv4
    .split('.')
    .map((byte) => Number(byte).toString(16).padStart(2, '0'))
  return `${a}${b}:${c}${d}`
}
