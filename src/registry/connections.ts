/** Holds one transport, token source and keychain for each registry of the config. No other host can be contacted. */
import type { ByteBudget } from '../async/byte-budget.ts'
import type { Keychain } from '../credentials/keychain.ts'
import { noProxyRules, type ProxyRules, proxyRulesOf } from '../proxy/proxy-rules.ts'
import { createChallengeCache, type SessionDependencies } from './auth/session.ts'
import { createTokenSource } from './auth/token-source.ts'
import type { LoadClientCertificate } from './http/connector.ts'
import { type Network, systemNetwork } from './http/ip-ranges.ts'
import type { RegistrySettings } from './http/registry-settings.ts'
import { createTransport } from './http/transport.ts'
import { originsOf } from './http/urls.ts'

export interface ConnectionDependencies {
  readonly registries: ReadonlyMap<string, RegistrySettings>
  /** Called once for each registry. Returns an empty keychain for a registry without credentials. */
  readonly keychainFor: (settings: RegistrySettings) => Keychain
  /** Called once for each registry. Default: no client certificates. */
  readonly clientCertificateFor?: (settings: RegistrySettings) => LoadClientCertificate | null
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** The memory for the bodies of all registries. A process has one. */
  readonly bodyBudget: ByteBudget
  /** The proxies of the environment. Default: none. */
  readonly proxyRules?: ProxyRules
  /** Default: the resolver of this machine. */
  readonly network?: Network
}

export interface RegistryConnection extends SessionDependencies {
  readonly keychain: Keychain
  readonly headSupport: HeadSupport
}

/** Whether the registry's 404 to HEAD can be trusted. */
export interface HeadSupport {
  /** True once the registry has answered HEAD with a manifest. Before, its 404 may only mean that it does not know HEAD. */
  isProven: boolean
}

export interface Connections {
  /** Undefined for a host that is not in the config. */
  get(host: string): RegistryConnection | undefined
  close(): Promise<void>
}

/** Opens no connection and reads no credential before the first request. */
export function createConnections(dependencies: ConnectionDependencies): Connections {
  const { registries } = dependencies
  const origins: ReadonlySet<string> = new Set(
    [...registries.values()].flatMap(({ endpoint, host }) => [endpoint.origin, ...originsOf(host)]),
  )
  // Created on first use: most hosts of a long table are never asked. By settings, because a host has several spellings.
  const connections = new Map<RegistrySettings, RegistryConnection>()

  function open(settings: RegistrySettings): RegistryConnection {
    const connection = connect(settings, origins, dependencies)
    connections.set(settings, connection)
    return connection
  }

  return {
    get: (host) => {
      const settings = registries.get(host)
      return settings === undefined ? undefined : (connections.get(settings) ?? open(settings))
    },
    async close() {
      await Promise.all([...connections.values()].map(({ transport }) => transport.close()))
    },
  }
}

function connect(
  settings: RegistrySettings,
  origins: ReadonlySet<string>,
  {
    keychainFor,
    clientCertificateFor = () => null,
    now,
    bodyBudget,
    proxyRules = noProxyRules,
    network = systemNetwork,
  }: ConnectionDependencies,
): RegistryConnection {
  const { endpoint, ca, authHosts } = settings
  const authOrigins = new Set(authHosts.flatMap(originsOf))
  const isListed = (origin: string) => origins.has(origin) || authOrigins.has(origin)
  const registryOrigin = endpoint.origin
  const proxyFor = proxyRulesOf(settings.proxy, proxyRules)
  const transport = createTransport({
    network,
    registryOrigin,
    isListed,
    ca,
    bodyBudget,
    proxyFor,
    clientCertificate: clientCertificateFor(settings),
  })
  return {
    settings,
    transport,
    tokens: createTokenSource({ transport, now }),
    challenges: createChallengeCache(),
    proxyFor,
    keychain: keychainFor(settings),
    headSupport: { isProven: false },
    now,
  }
}
