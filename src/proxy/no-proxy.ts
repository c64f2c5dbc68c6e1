/**
 * Decides which addresses are exempt from a proxy, as Go does, so that one NO_PROXY means the same for Berth, the kubelet and
 * containerd (golang.org/x/net/http/httpproxy, proxy.go).
 */
import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'

/** 4 or 16 bytes. */
type IpBytes = readonly number[]

interface Address {
  /** In lower case, without brackets. */
  readonly host: string
  readonly port: string
  /** Null for a name. */
  readonly ip: IpBytes | null
}

type Matcher = (address: Address) => boolean

/** Returns whether a URL goes directly to its host with this value of NO_PROXY. Loopback addresses and `localhost` always do. */
export function createNoProxyMatcher(noProxy: string): (url: URL) => boolean {
  const matchers: Matcher[] = []
  for (const entry of noProxy.split(',')) {
    const text = entry.trim().toLowerCase()
    // Go ignores all other entries after this one too.
    if (text === '*') return () => true
    const matcher = text === '' ? null : readEntry(text)
    if (matcher !== null) matchers.push(matcher)
  }
  return (url) => {
    const address = addressOf(url)
    return isLocal(address) || matchers.some((matches) => matches(address))
  }
}

/** Returns whether the host of a URL is this machine: `localhost`, or a loopback address. */
export function isLocalUrl(url: URL): boolean {
  return isLocal(addressOf(url))
}

function isLocal({ host, ip }: Address): boolean {
  if (ip === null) return host === 'localhost'
  return ip.length === 4
    ? ip[0] === 127
    : ip.every((byte, index) => byte === (index === 15 ? 1 : 0))
}

function addressOf({ hostname, port, protocol }: URL): Address {
  const host = hostname.replace(/^\[|\]$/g, '')
  const defaultPort = protocol === 'https:' ? '443' : '80'
  return { host, port: port === '' ? defaultPort : port, ip: parseIp(host) }
}

/** Reads a CIDR, or an address or a domain with an optional port. Returns null for an entry that Go ignores. */
function readEntry(text: string): Matcher | null {
  const cidr = readCidr(text)
  if (cidr !== null) return cidr
  const [host, entryPort] = splitHostPort(text) ?? [text, '']
  if (host === '') return null
  const matchesPort = (port: string) => entryPort === '' || entryPort === port
  const entryIp = parseIp(host)
  if (entryIp !== null) {
    return ({ ip, port }) => ip !== null && String(ip) === String(entryIp) && matchesPort(port)
  }
  const domain = host.startsWith('*.') ? host.slice(1) : host
  const isSuffix = domain.startsWith('.')
  const suffix = `.${toAscii(isSuffix ? domain.slice(1) : domain)}`
  return ({ host: name, ip, port }) =>
    ip === null &&
    (name.endsWith(suffix) || (!isSuffix && name === suffix.slice(1))) &&
    matchesPort(port)
}

function readCidr(text: string): Matcher | null {
  const [, address = '', digits = ''] = /^([^/]*)\/([0-9]{1,4})$/.exec(text) ?? []
  const bytes = rawBytes(address)
  if (bytes === null || Number(digits) > bytes.length * 8) return null
  const masked = bytes.map((byte, index) => byte & maskByte(Number(digits) - index * 8))
  const network = unmapped(masked)
  const length = Number(digits) - (masked.length - network.length) * 8
  return ({ ip }) =>
    ip !== null &&
    ip.length === network.length &&
    ip.every((byte, index) => (byte & maskByte(length - index * 8)) === network[index])
}

/** The mask of a byte of which the first `bits` belong to the network. */
function maskByte(bits: number): number {
  return 0xff & (0xff << (8 - Math.min(8, Math.max(0, bits))))
}

/** Go's net.SplitHostPort; null where it returns an error. */
function splitHostPort(text: string): readonly [host: string, port: string] | null {
  const [, bracketed, plain, port = ''] =
    /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:[\]]*)$/.exec(text) ?? []
  const host = bracketed ?? plain
  return host === undefined ? null : [host, port]
}

function toAscii(domain: string): string {
  const isAscii = /^[\0-\x7f]*$/.test(domain)
  const ascii = isAscii ? '' : domainToASCII(domain)
  return ascii === '' ? domain : ascii
}

/** Returns the bytes of an address: 4 for IPv4, also if it is written as an IPv6 address. */
function parseIp(text: string): IpBytes | null {
  const bytes = rawBytes(text)
  return bytes === null ? null : unmapped(bytes)
}

/** Returns the bytes of an address as it is written. */
function rawBytes(text: string): IpBytes | null {
  const version = isIP(text)
  if (version === 4) return text.split('.').map(Number)
  // Zones such as `%eth0` are not part of an address.
  if (version !== 6 || text.includes('%')) return null
  const [before = '', after] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::')
  const [head, tail] = [groupsOf(before), groupsOf(after ?? '')]
  const zeros = Array<number>(8 - head.length - tail.length).fill(0)
  return [...head, ...zeros, ...tail].flatMap((group) => [group >> 8, group & 0xff])
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}

/** Shortens an IPv4-mapped address, `::ffff:10.0.0.1` (RFC 4291, 2.5.5.2). */
function unmapped(bytes: IpBytes): IpBytes {
  const isMapped =
    bytes.length === 16 &&
    bytes.slice(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 0xff))
  return isMapped ? bytes.slice(12) : bytes
}
