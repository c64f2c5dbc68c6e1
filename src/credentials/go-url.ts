/**
 * Parses the host and path of a URL as Go does (Go 1.26, net/url/url.go, parse), because the kubelet parses each key of a docker
 * config as a URL. All text is in byte strings, with one character for each byte of UTF-8, so that they sort as in Go.
 */
import { isIPv6 } from 'node:net'

export interface GoUrl {
  /** With the port, if there is one, and with the brackets of an IPv6 address. */
  readonly host: string
  /** Decoded. Empty, or starts with a slash. */
  readonly path: string
}

/** The characters that a user and password may contain (url.go, validUserinfo). */
const userPattern = /^[A-Za-z0-9\-._~!$&'()*+,;=:%@]*$/
/** The characters that a host may contain unescaped, including bytes above ASCII (url.go, encoding_table.go, encodeHost). */
const hostPattern = /^[A-Za-z0-9\-._~!$&'()*+,;=:[\]<>"%\u0080-\u00ff]*$/
const portPattern = /^(?::[0-9]*)?$/

/** Returns a text with one character for each byte of its UTF-8. */
export function toByteString(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** Parses the part of a URL after `https://`. Returns null if Go rejects it. */
export function parseGoUrl(text: string): GoUrl | null {
  const [beforeFragment, fragment] = splitAt(text, text.indexOf('#'))
  if (hasControlByte(beforeFragment) || unescape(fragment) === null) return null
  const [beforeQuery] = splitAt(beforeFragment, beforeFragment.indexOf('?'))
  const [authority, rawPath] = splitAt(beforeQuery, beforeQuery.indexOf('/'))
  const at = authority.lastIndexOf('@')
  const user = authority.slice(0, Math.max(at, 0))
  if (!userPattern.test(user) || unescape(user) === null) return null
  const host = parseHost(authority.slice(at + 1))
  const path = unescape(rawPath)
  return host === null || path === null ? null : { host, path }
}

/** Splits a text before an index. A negative index leaves the second part empty. */
function splitAt(text: string, index: number): readonly [before: string, from: string] {
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index)]
}

function hasControlByte(text: string): boolean {
  return [...text].some((byte) => byte < ' ' || byte === '\u007f')
}

/** A bracket may only start an IPv6 address; otherwise the only colon is before the port (url.go, parseHost). */
function parseHost(host: string): string | null {
  const open = host.lastIndexOf('[')
  if (open > 0) return null
  const end = open === 0 ? host.lastIndexOf(']') + 1 : host.indexOf(':')
  if (open === 0 && end === 0) return null
  const [name, port] = splitAt(host, end)
  if (!portPattern.test(port)) return null
  const decoded = open === 0 ? parseIpv6(name.slice(1, -1)) : unescapeHost(name)
  if (decoded === null) return null
  return open === 0 ? `[${decoded}]${port}` : decoded + port
}

/** Parses an IPv6 address with an optional zone, whose percent sign is escaped. */
function parseIpv6(text: string): string | null {
  const [escaped, escapedZone] = splitAt(text, text.indexOf('%25'))
  const address = unescapeHost(escaped)
  const zone = unescapeZone(escapedZone)
  if (address === null || zone === null || zone === '%') return null
  return isIPv6(address) ? address + zone : null
}

/** A host may escape only bytes above ASCII and the percent sign. */
function unescapeHost(text: string): string | null {
  const isAllowed = [...text.matchAll(/%(..)/gs)].every(
    ([escape, digits = '']) => escape === '%25' || Number.parseInt(digits, 16) >= 0x80,
  )
  return isAllowed && hostPattern.test(text) ? unescape(text) : null
}

/** A zone may escape only characters that it could contain unescaped, and the space. */
function unescapeZone(text: string): string | null {
  const decoded = unescape(text)
  if (decoded === null || !hostPattern.test(text)) return null
  const isAllowed = [...text.matchAll(/%(..)/gs)].every(([escape, digits = '']) => {
    const byte = String.fromCodePoint(Number.parseInt(digits, 16))
    return escape === '%20' || (byte < '\u0080' && hostPattern.test(byte))
  })
  return isAllowed ? decoded : null
}

/** Returns null if a percent sign is not followed by two hexadecimal digits. */
function unescape(text: string): string | null {
  if (!text.includes('%')) return text
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return null
  return text.replaceAll(/%(..)/g, (_, digits: string) =>
    String.fromCodePoint(Number.parseInt(digits, 16)),
  )
}
