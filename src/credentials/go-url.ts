/**
 * Host and path of a URL as Go reads them (Go 1.26, net/url/url.go, parse), for the kubelet takes each key of a docker
 * config for a URL. Texts are byte strings: one character for each byte of UTF-8, so that their order is that of Go.
 */
import { isIPv6 } from 'node:net'

export interface GoUrl {
  /** With the port, if one is given, and with the brackets of an IPv6 address. */
  readonly host: string
  /** Decoded; empty or beginning with a slash. */
  readonly path: string
}

/** What parse lets stand in a user and password (url.go, validUserinfo). */
const userPattern = /^[A-Za-z0-9\-._~!$&'()*+,;=:%@]*$/
/** What may stand in a host as it is (url.go, encoding_table.go, encodeHost); bytes beyond ASCII may. */
const hostPattern = /^[A-Za-z0-9\-._~!$&'()*+,;=:[\]<>"%\u0080-\u00ff]*$/
const portPattern = /^(?::[0-9]*)?$/

/** One character for each byte. */
export function toByteString(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** Reads what follows `https://`; null for what Go refuses. */
export function parseGoUrl(text: string): GoUrl | null {
  const [beforeFragment, fragment] = cut(text, text.indexOf('#'))
  if (hasControlByte(beforeFragment) || unescape(fragment) === null) return null
  const [beforeQuery] = cut(beforeFragment, beforeFragment.indexOf('?'))
  const [authority, rawPath] = cut(beforeQuery, beforeQuery.indexOf('/'))
  const at = authority.lastIndexOf('@')
  const user = authority.slice(0, Math.max(at, 0))
  if (!userPattern.test(user) || unescape(user) === null) return null
  const host = readHost(authority.slice(at + 1))
  const path = unescape(rawPath)
  return host === null || path === null ? null : { host, path }
}

/** The text before a place and the text from there on; all of it is before a place that is not there. */
function cut(text: string, at: number): readonly [before: string, from: string] {
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at)]
}

function hasControlByte(text: string): boolean {
  return [...text].some((byte) => byte < ' ' || byte === '\u007f')
}

/** A bracket opens an IPv6 address or is a fault; otherwise the one colon stands before a port (url.go, parseHost). */
function readHost(host: string): string | null {
  const open = host.lastIndexOf('[')
  if (open > 0) return null
  const end = open === 0 ? host.lastIndexOf(']') + 1 : host.indexOf(':')
  if (open === 0 && end === 0) return null
  const [name, port] = cut(host, end)
  if (!portPattern.test(port)) return null
  const decoded = open === 0 ? readAddress(name.slice(1, -1)) : unescapeHost(name)
  if (decoded === null) return null
  return open === 0 ? `[${decoded}]${port}` : decoded + port
}

/** An IPv6 address, perhaps with a zone, before which the percent sign is escaped. */
function readAddress(text: string): string | null {
  const [escaped, escapedZone] = cut(text, text.indexOf('%25'))
  const address = unescapeHost(escaped)
  const zone = unescapeZone(escapedZone)
  if (address === null || zone === null || zone === '%') return null
  return isIPv6(address) ? address + zone : null
}

/** In a host only bytes beyond ASCII may be escaped, and the percent sign. */
function unescapeHost(text: string): string | null {
  const isAllowed = [...text.matchAll(/%(..)/gs)].every(
    ([escape, digits = '']) => escape === '%25' || Number.parseInt(digits, 16) >= 0x80,
  )
  return isAllowed && hostPattern.test(text) ? unescape(text) : null
}

/** In a zone an escape may only stand for what could be there without, or for a space. */
function unescapeZone(text: string): string | null {
  const decoded = unescape(text)
  if (decoded === null || !hostPattern.test(text)) return null
  const isAllowed = [...text.matchAll(/%(..)/gs)].every(([escape, digits = '']) => {
    const byte = String.fromCodePoint(Number.parseInt(digits, 16))
    return escape === '%20' || (byte < '\u0080' && hostPattern.test(byte))
  })
  return isAllowed ? decoded : null
}

/** Null when a percent sign is not before two hexadecimal digits. */
function unescape(text: string): string | null {
  if (!text.includes('%')) return text
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return null
  return text.replaceAll(/%(..)/g, (_, digits: string) =>
    String.fromCodePoint(Number.parseInt(digits, 16)),
  )
}
