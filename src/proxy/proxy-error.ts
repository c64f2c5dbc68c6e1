/** Describes failures of a proxy, so that they are not mistaken for failures of the registry behind it. */

/** The message is complete, and contains no user or password. */
export class ProxyError extends Error {
  override readonly name = 'ProxyError'
}

type Describe = (proxy: string) => string

const noRoute: Describe = (proxy) => `no route to the ${proxy}`
const timedOut: Describe = (proxy) => `connecting to the ${proxy} timed out`
const closed: Describe = (proxy) => `the ${proxy} closed the connection`
const notTls: Describe = (proxy) => `the ${proxy} does not use TLS; write http:// in its URL`
const unknownAuthority: Describe = (proxy) =>
  `the certificate of the ${proxy} is signed by an unknown authority`

const descriptions: Readonly<Record<string, Describe>> = {
  ECONNREFUSED: (proxy) => `the ${proxy} refuses the connection`,
  ENOTFOUND: (proxy) => `the name of the ${proxy} does not resolve`,
  EAI_AGAIN: (proxy) => `no DNS server answered for the name of the ${proxy}`,
  EHOSTUNREACH: noRoute,
  ENETUNREACH: noRoute,
  ETIMEDOUT: timedOut,
  ECONNRESET: closed,
  EPIPE: closed,
  CERT_HAS_EXPIRED: (proxy) => `the certificate of the ${proxy} has expired`,
  ERR_TLS_CERT_ALTNAME_INVALID: (proxy) => `the certificate of the ${proxy} has another name`,
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  ERR_SSL_WRONG_VERSION_NUMBER: notTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: notTls,
}

interface NamedProxy {
  readonly name: string
  readonly authorization: string | null
}

/** Returns the error for a connection to a proxy that failed. Quotes nothing that the proxy sent. */
export function proxyErrorFor(thrown: unknown, { name }: NamedProxy): ProxyError {
  if (thrown instanceof ProxyError) return thrown
  const [first = thrown] = thrown instanceof AggregateError ? (thrown.errors as unknown[]) : []
  const { code } = (first ?? {}) as NodeJS.ErrnoException
  const text = typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code) ? code : 'an error'
  const proxy = `proxy ${name}`
  if (text.startsWith('HPE_')) return new ProxyError(`the ${proxy} does not speak HTTP`)
  const describe = Object.hasOwn(descriptions, text) ? descriptions[text] : undefined
  return new ProxyError(describe?.(proxy) ?? `the connection to the ${proxy} failed: ${text}`)
}

/** Squid names its reason in a header; other proxies only in a web page. */
const squidCannotResolve = /^ERR_DNS_FAIL\b/

/** Returns the error for a proxy that does not connect to a host. */
export function proxyErrorForStatus(
  { name, authorization }: NamedProxy,
  host: string,
  {
    status,
    squidError = '',
  }: { readonly status: number; readonly squidError?: string | undefined },
): ProxyError {
  const proxy = `the proxy ${name}`
  // tinyproxy sends 401 for a wrong password.
  if (status === 407 || status === 401) {
    return new ProxyError(
      authorization === null
        ? `${proxy} requires a user name and password (${status})`
        : `${proxy} rejects the user name and password in its URL (${status})`,
    )
  }
  if (status === 403) {
    return new ProxyError(`${proxy} does not allow connections to ${host} (${status})`)
  }
  if (squidCannotResolve.test(squidError)) {
    return new ProxyError(`${proxy} cannot resolve ${host} (${status})`)
  }
  return new ProxyError(
    status >= 500
      ? `${proxy} cannot connect to ${host} (${status})`
      : `${proxy} responded with status ${status} to CONNECT for ${host}`,
  )
}
