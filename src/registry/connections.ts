/** A transport, tokens and a keychain for each registry of the configuration, and for no other. */
import type { Keychain } from '../credentials/keychain.ts'
import { type Network, systemNetwork } from './http/ip-ranges.ts'
import { normalizeHost } from './auth/token-server-policy.ts'
import { createChallengeCache, type SessionDependencies } from './auth/session.ts'
import type { RegistrySettings } from './http/registry-settings.ts'
import { createTokenSource } from './auth/token-source.ts'
import { createTransport } from './http/transport.ts'

export interface ConnectionDependencies {
  readonly registries: ReadonlyMap<string, RegistrySettings>
  /** Called once for each registry; those without credentials get an empty keychain. */
  readonly keychainFor: (settings: RegistrySettings) => Keychain
  readonly now: () => number
  /** Names and addresses; the system's own when not given. */
  readonly network?: Network
}

export interface RegistryConnection extends SessionDependencies {
  readonly keychain: Keychain
}

export interface Connections {
  /** Undefined for a host that the configuration does not know. */
  get(host: string): RegistryConnection | undefined
  close(): Promise<void>
}

/** Opens no connection and reads no credential until something is sent. */
export function createConnections(dependencies: ConnectionDependencies): Connections {
  const connected = new Map(
    [...dependencies.registries].map(([host, settings]) => [host, connect(settings, dependencies)]),
  )
  return {
    get: (host) => connected.get(host),
    async close() {
      await Promise.all([...connected.values()].map(({ transport }) => transport.close()))
    },
  }
}

/** `/v2/…` (distribution-spec, endpoints), below the endpoint's own path if it has one. */
export function apiUrl(endpoint: URL, path: string): URL {
  const url = new URL(endpoint)
  const prefix = endpoint.pathname.endsWith('/')
    ? endpoint.pathname.slice(0, -1)
    : endpoint.pathname
  url.pathname = `${prefix}/v2/${path}`
  return url
}

function connect(
  settings: RegistrySettings,
  { registries, keychainFor, now, network = systemNetwork }: ConnectionDependencies,
): RegistryConnection {
  const { endpoint, ca, authHosts } = settings
  const listedOrigins = new Set([
    ...[...registries.values()].flatMap((one) => [one.endpoint.origin, ...originsOf(one.host)]),
    ...authHosts.flatMap(originsOf),
  ])
  const transport = createTransport({ network, registryOrigin: endpoint.origin, listedOrigins, ca })
  return {
    settings,
    transport,
    tokens: createTokenSource({ transport, now }),
    challenges: createChallengeCache(),
    keychain: keychainFor(settings),
    now,
  }
}

function originsOf(host: string): string[] {
  return ['https:', 'http:'].flatMap((protocol) => {
    const name = normalizeHost(host, protocol)
    return name === null ? [] : [`${protocol}//${name}`]
  })
}
