/** Selects the proxy of a request: from the config, or from HTTPS_PROXY, HTTP_PROXY and NO_PROXY as Go reads them. */
import { createNoProxyMatcher, isLocalUrl } from './no-proxy.ts'
import { ProxyError } from './proxy-error.ts'

/** A forward proxy. Plain data, because configs travel between threads. */
export interface ProxyServer {
  /** Its URL without user and password, for messages. */
  readonly name: string
  readonly protocol: 'http:' | 'https:'
  /** Without brackets. */
  readonly hostname: string
  readonly port: number
  /** The value of Proxy-Authorization; null without a user. Never shown. */
  readonly authorization: string | null
}

/** What the config says for one registry; undefined for the environment. */
export type ProxySetting = ProxyServer | 'none' | undefined

/** Returns the proxy for a URL; null for a direct connection. Throws ProxyError if a variable does not name a usable proxy. */
export type ProxyRules = (url: URL) => ProxyServer | null

type Environment = Readonly<Record<string, string | undefined>>

export const noProxyRules: ProxyRules = () => null

/** Reads the variables, in upper or lower case. Unlike in Go, requests fail if a value is not a URL, or has a path or query. */
export function proxyRulesFromEnvironment(env: Environment): ProxyRules {
  const proxies = {
    'http:': readVariable(env, 'HTTP_PROXY'),
    'https:': readVariable(env, 'HTTPS_PROXY'),
  }
  const isExempt = createNoProxyMatcher(valueOf(env, 'NO_PROXY')[1])
  return (url) => {
    const proxy = proxies[url.protocol as keyof typeof proxies]
    if (proxy === null || isExempt(url)) return null
    if (proxy instanceof ProxyError) throw proxy
    return proxy
  }
}

/** Returns the rules of one registry. A proxy of the config is for all hosts except this machine, as in Go. */
export function proxyRulesOf(setting: ProxySetting, environment: ProxyRules): ProxyRules {
  if (setting === undefined) return environment
  if (setting === 'none') return noProxyRules
  return (url) => (isLocalUrl(url) ? null : setting)
}

/** Returns the proxy with this URL, for which `http://` may be omitted; null if it is not the URL of an HTTP proxy. */
export function parseProxy(text: string): ProxyServer | null {
  const href = /^[a-z][a-z0-9+.-]*:\/\/[^/]/i.test(text) ? text : `http://${text}`
  if (!URL.canParse(href)) return null
  const { protocol, hostname, port, host, username, password, pathname, search, hash } = new URL(
    href,
  )
  if (protocol !== 'http:' && protocol !== 'https:') return null
  // A password with an unescaped `/`, `?` or `#` moves the host into the path: its beginning would be the name of the proxy.
  if (pathname !== '/' || search !== '' || hash !== '') return null
  const authorization = basicAuthorization(username, password)
  if (authorization === undefined) return null
  const defaultPort = protocol === 'https:' ? 443 : 80
  return {
    name: `${protocol}//${host}`,
    protocol,
    hostname: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? defaultPort : Number(port),
    authorization,
  }
}

/** Returns undefined if the user or the password is not valid percent-encoding. */
function basicAuthorization(username: string, password: string): string | null | undefined {
  if (username === '' && password === '') return null
  try {
    const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`
  } catch {
    return undefined
  }
}

function readVariable(env: Environment, name: string): ProxyServer | ProxyError | null {
  const [variable, value] = valueOf(env, name)
  if (value === '') return null
  return (
    parseProxy(value) ??
    new ProxyError(`${variable} is not the URL of an HTTP proxy; write http://HOST:PORT`)
  )
}

/** The first one that is not empty counts. */
function valueOf(env: Environment, name: string): readonly [variable: string, value: string] {
  const lower = name.toLowerCase()
  return (env[name] ?? '') === '' ? [lower, env[lower] ?? ''] : [name, env[name] ?? '']
}
