/** From what a socket, TLS or the HTTP parser throws to an answer that an operator can act on. */
import { errors } from 'undici'
import type { ManifestAnswer, FailedOutcome } from '../../decision/resolve/manifest-source.ts'

/** An answer other than `found`. */
export type RequestFailure = Extract<ManifestAnswer, { readonly detail: string }>

/** Refused at connect time: the name led into a network that it must not lead into. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefused'
}

/** Where the request went, and whether somebody had given up on it. */
export interface FailureContext {
  readonly url: URL
  readonly signal: AbortSignal
}

export function failed(outcome: FailedOutcome, detail: string): RequestFailure {
  return { outcome, detail }
}

/** OpenSSL's verification errors that one advice fits (node:tls; their names are X509_V_ERR_… in x509_vfy.h). */
const unknownAuthority: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

type Describe = (host: string, hostname: string) => RequestFailure

const described: Readonly<Record<string, Describe>> = {
  ENOTFOUND: (_, name) => failed('unreachable', `no such host ${name}`),
  EAI_AGAIN: (_, name) => failed('unreachable', `no name server answered for ${name}`),
  EHOSTUNREACH: (host) => failed('unreachable', `no route to ${host}`),
  ENETUNREACH: (host) => failed('unreachable', `no route to ${host}`),
  ETIMEDOUT: (host) => failed('unreachable', `no connection to ${host}`),
  UND_ERR_CONNECT_TIMEOUT: (host) => failed('unreachable', `no connection to ${host}`),
  UND_ERR_HEADERS_TIMEOUT: (host) => failed('timeout', `no answer from ${host}`),
  UND_ERR_BODY_TIMEOUT: (host) => failed('timeout', `the answer from ${host} stopped`),
  UND_ERR_HEADERS_OVERFLOW: (host) => failed('invalid', `headers from ${host} above 16 KiB`),
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: (host) =>
    failed('invalid', `the answer from ${host} is not as long as it says`),
  UND_ERR_SOCKET: (host) => failed('unreachable', `${host} closed the connection`),
  ECONNRESET: (host) => failed('unreachable', `${host} closed the connection`),
  EPIPE: (host) => failed('unreachable', `${host} closed the connection`),
  CERT_HAS_EXPIRED: () => failed('unreachable', 'certificate expired'),
  CERT_NOT_YET_VALID: () => failed('unreachable', 'certificate not yet valid'),
  ERR_TLS_CERT_ALTNAME_INVALID: (_, name) =>
    failed('unreachable', `certificate is not for ${name}`),
  ERR_SSL_WRONG_VERSION_NUMBER: (host) => failed('unreachable', `no TLS: ${host} may speak http`),
  ERR_SSL_PACKET_LENGTH_TOO_LONG: (host) => failed('unreachable', `no TLS: ${host} may speak http`),
}

/** Tells a failure from what was thrown. Error messages are not passed on: some quote what the other side sent. */
export function failureForError(thrown: unknown, { url, signal }: FailureContext): RequestFailure {
  if (signal.aborted) return failed('timeout', 'no answer in time')
  const error = firstOf(thrown)
  if (error instanceof AddressRefusedError) return failed('invalid', error.message)
  const code = codeOf(error)
  const host = shortHost(url)
  if (unknownAuthority.has(code)) {
    return failed('unreachable', 'certificate signed by unknown authority')
  }
  const describe = Object.hasOwn(described, code) ? described[code] : undefined
  if (describe !== undefined) return describe(host, shortHost(url, url.hostname))
  if (error instanceof errors.HTTPParserError)
    return failed('invalid', `${host} does not speak HTTP`)
  if (code === '') return failed('unreachable', `the connection to ${host} failed`)
  return failed('unreachable', `${code} ${endOf(error) ?? host}`)
}

/** The host of a URL for messages. A DNS name has at most 253 characters; a longer text is somebody's joke. */
export function shortHost(url: URL, host: string = url.host): string {
  return host.length > 253 ? `${host.slice(0, 60)}…` : host
}

/** A name with several addresses fails with all their errors in one (node:net, autoSelectFamily). */
function firstOf(thrown: unknown): unknown {
  return thrown instanceof AggregateError && thrown.errors.length > 0 ? thrown.errors[0] : thrown
}

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code) ? code : ''
}

/** `127.0.0.1:5000`, when the system said which address it was. */
function endOf(error: unknown): string | null {
  const { address, port } = error as { readonly address?: unknown; readonly port?: unknown }
  if (typeof address !== 'string' || typeof port !== 'number') return null
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
