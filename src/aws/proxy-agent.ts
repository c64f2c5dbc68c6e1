/** Connects the AWS SDK through a forward proxy. The SDK reads no proxy variables itself. */
import { Agent, type AgentOptions } from 'node:https'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import type { ProxyRules } from '../proxy/proxy-rules.ts'
import { openTunnel } from '../proxy/tunnel.ts'

/** The timeout for a connection in milliseconds, as for registries. */
const connectTimeoutMs = 2_000

type OnCreated = (error: Error | null, stream: Duplex) => void

/** Returns an agent that selects the proxy, or none, for each connection. */
export function createProxyAgent(proxyFor: ProxyRules): Agent {
  return new ProxyAgent(proxyFor, { keepAlive: true })
}

class ProxyAgent extends Agent {
  readonly #proxyFor: ProxyRules

  constructor(proxyFor: ProxyRules, options: AgentOptions) {
    super(options)
    this.#proxyFor = proxyFor
  }

  override createConnection(
    options: ConnectionOptions,
    onCreated?: OnCreated,
  ): Duplex | null | undefined {
    const { host = '', port = 443 } = options
    const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
    const proxy = this.#proxyFor(new URL(`https://${authority}`))
    if (proxy === null) return super.createConnection(options, onCreated)
    openTunnel(authority, { proxy, ca: null, timeoutMs: connectTimeoutMs }).then(
      (socket) => onCreated?.(null, connectTls({ ...options, socket })),
      (error: unknown) => onCreated?.(error as Error, undefined as never),
    )
    return undefined
  }
}
