/** Describes errors of sockets, TLS and the HTTP parser in words that an operator can act on. */
import { errors } from 'undici'
import { ProxyError } from '../../proxy/proxy-error.ts'
import type { ProxyServer } from '../../proxy/proxy-rules.ts'
import type { FailedOutcome, ManifestAnswer } from '../../decision/resolve/manifest-source.ts'
import { displayHost } from './urls.ts'

/** Why a request has no usable response. */
export type RequestFailure = Extract<ManifestAnswer, { readonly detail: string }>

/** Thrown before a connection to an address that the registry must not lead to. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefused'
}

/** Ends a request with this failure. */
export class RequestFailedError extends Error {
  override readonly name = 'RequestFailed'
  readonly failure: RequestFailure

  constructor(failure: RequestFailure) {
    super(failure.detail)
    this.failure = failure
  }
}

export interface FailureContext {
  readonly url: URL
  readonly signal: AbortSignal
  /** False after a redirect to another origin. */
  readonly isFromRegistry: boolean
  /** Null for a direct connection. */
  readonly proxy: ProxyServer | null
  /** True if the registry received a client certificate. */
  readonly hasClientCertificate: boolean
  /** True if a connection to the registry has been opening for long. */
  readonly isStuck: boolean
}

export function failed(outcome: FailedOutcome, detail: string): RequestFailure {
  return { outcome, detail }
}

/** OpenSSL's verification errors for a missing CA (x509_vfy.h, X509_V_ERR_…, by their names in node:tls). */
const unknownAuthority: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

type Describe = (host: string, hostname: string) => RequestFailure

const noRoute: Describe = (host) => failed('unreachable', `no route to ${host}`)
const connectTimeout: Describe = (host) => failed('unreachable', `connecting to ${host} timed out`)
const closed: Describe = (host) => failed('unreachable', `${host} closed the connection`)
const notTls: Describe = (host) =>
  failed('unreachable', `no TLS on ${host}; if it serves plain HTTP, set an http endpoint`)

const failures: Readonly<Record<string, Describe>> = {
  ENOTFOUND: (_, name) => failed('unreachable', `no such host ${name}`),
  EAI_AGAIN: (_, name) => failed('unreachable', `no DNS server answered for ${name}`),
  EHOSTUNREACH: noRoute,
  ENETUNREACH: noRoute,
  ETIMEDOUT: connectTimeout,
  UND_ERR_CONNECT_TIMEOUT: connectTimeout,
  UND_ERR_HEADERS_TIMEOUT: (host) => failed('timeout', `no response from ${host}`),
  UND_ERR_BODY_TIMEOUT: (host) => failed('timeout', `the response from ${host} stalled`),
  UND_ERR_HEADERS_OVERFLOW: (host) =>
    failed('invalid', `response headers from ${host} exceed 16 KiB`),
  UND_ERR_MAX_ORIGINS_REACHED: (host) =>
    failed('invalid', `redirected to too many hosts, the last one ${host}`),
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: (host) =>
    failed('invalid', `the response from ${host} does not have its stated Content-Length`),
  UND_ERR_SOCKET: closed,
  ECONNRESET: closed,
  EPIPE: closed,
  CERT_HAS_EXPIRED: () => failed('unreachable', 'certificate expired'),
  CERT_NOT_YET_VALID: () => failed('unreachable', 'certificate not yet valid'),
  ERR_TLS_CERT_ALTNAME_INVALID: (_, name) =>
    failed('unreachable', `certificate is not for ${name}`),
  ERR_SSL_WRONG_VERSION_NUMBER: notTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: notTls,
}

/** The alerts of a server about the certificate of its client, by their numbers (RFC 8446, 6.2, and RFC 5246, 7.2.2). */
const certificateAlerts: ReadonlyMap<number, string> = new Map([
  [42, 'bad certificate'],
  [43, 'unsupported certificate'],
  [44, 'certificate revoked'],
  [45, 'certificate expired'],
  [46, 'certificate unknown'],
  [48, 'unknown CA'],
  [49, 'access denied'],
])

/** In TLS 1.2, a server that requires a certificate sends this alert, or `bad certificate`. */
const handshakeFailure = 40

/** The alert of TLS 1.3, which arrives after the handshake. */
const certificateRequired = 116

/** Returns the number of the TLS alert that ended a connection; null for another error. The codes differ between versions of OpenSSL. */
export function tlsAlertOf(error: unknown): number | null {
  const { code, message } = (error ?? {}) as NodeJS.ErrnoException
  if (typeof code !== 'string' || !code.startsWith('ERR_SSL_')) return null
  const [, digits] = /SSL alert number ([0-9]{1,3})/.exec(message) ?? []
  return digits === undefined ? null : Number(digits)
}

/** Describes an alert about a client certificate, or its absence; null for other alerts. */
function describeAlert(alert: number | null, host: string, hasOne: boolean): RequestFailure | null {
  if (alert === handshakeFailure) {
    const hint = hasOne ? '' : '; it may require a client certificate'
    return failed('denied', `${host} refuses the TLS handshake${hint}`)
  }
  const reason = certificateAlerts.get(alert ?? 0)
  if (alert !== certificateRequired && reason === undefined) return null
  return hasOne && reason !== undefined
    ? failed('denied', `${host} rejects the client certificate (${reason})`)
    : failed('denied', `${host} requires a client certificate`)
}

/** The codes of errors before a connection is open. The name of an image cannot cause them. */
const codesWithoutConnection: ReadonlySet<string> = new Set([
  ...unknownAuthority,
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** Returns true if an open connection ended, or received something other than a response. */
export function isConnectionLost(error: unknown): boolean {
  return (
    error instanceof errors.HTTPParserError ||
    ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(codeOf(error))
  )
}

/** Returns the failure that a thrown error means. Never quotes the error's message, which may contain what the server sent. */
export function failureForError(thrown: unknown, context: FailureContext): RequestFailure {
  const failure = describeThroughProxy(thrown, context)
  const hasNoConnection =
    failure.outcome === 'timeout'
      ? context.isStuck
      : failure.outcome === 'unreachable' && isBeforeConnection(firstOf(thrown))
  return context.isFromRegistry && hasNoConnection ? { ...failure, hasNoConnection } : failure
}

function isBeforeConnection(error: unknown): boolean {
  return error instanceof ProxyError || codesWithoutConnection.has(codeOf(error))
}

/** Names the proxy in between, which may have caused the failure. */
function describeThroughProxy(thrown: unknown, context: FailureContext): RequestFailure {
  const { proxy, signal } = context
  if (thrown instanceof ProxyError && !signal.aborted) return failed('unreachable', thrown.message)
  const failure = describeError(thrown, context)
  if (proxy === null) return failure
  return { ...failure, detail: `${failure.detail} (through the proxy ${proxy.name})` }
}

function describeError(thrown: unknown, context: FailureContext): RequestFailure {
  const { url, signal } = context
  if (signal.aborted) return failed('timeout', 'no response in time')
  const error = firstOf(thrown)
  if (error instanceof AddressRefusedError) return failed('invalid', error.message)
  if (error instanceof RequestFailedError) return error.failure
  const code = codeOf(error)
  const host = displayHost(url)
  if (unknownAuthority.has(code)) {
    return failed('unreachable', 'certificate signed by unknown authority')
  }
  const alert = describeAlert(tlsAlertOf(error), host, context.hasClientCertificate)
  if (alert !== null) return alert
  const describe = Object.hasOwn(failures, code) ? failures[code] : undefined
  if (describe !== undefined) return describe(host, displayHost(url, url.hostname))
  if (error instanceof errors.HTTPParserError) {
    return failed('invalid', `${host} does not speak HTTP`)
  }
  if (code === '') return failed('unreachable', `the connection to ${host} failed`)
  return failed('unreachable', `${code} ${addressOf(error) ?? host}`)
}

/** For a name with several addresses, Node.js throws one error that contains the errors of all (node:net, autoSelectFamily). */
function firstOf(thrown: unknown): unknown {
  return thrown instanceof AggregateError && thrown.errors.length > 0 ? thrown.errors[0] : thrown
}

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code) ? code : ''
}

/** The address that the connection was for, such as `127.0.0.1:5000`, if the system reports it. */
function addressOf(error: unknown): string | null {
  const { address, port } = error as { readonly address?: unknown; readonly port?: unknown }
  if (typeof address !== 'string' || typeof port !== 'number') return null
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
