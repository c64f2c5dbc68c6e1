/** Creates a manifest source for fake registries, and queries it. */
import { afterEach } from 'vitest'
import { type ByteBudget, createByteBudget } from '../../src/async/byte-budget.ts'
import type { Credential, Keychain } from '../../src/credentials/keychain.ts'
import { noProxyRules, type ProxyRules } from '../../src/proxy/proxy-rules.ts'
import type { LoadClientCertificate } from '../../src/registry/http/connector.ts'
import { type Network, systemNetwork } from '../../src/registry/http/ip-ranges.ts'
import { bodyBudgetBytes } from '../../src/registry/http/response-body.ts'
import { createManifestSource } from '../../src/registry/manifests/manifest-source.ts'
import type { RegistrySettings } from '../../src/registry/http/registry-settings.ts'
import type { ManifestAnswer } from '../../src/decision/resolve/manifest-source.ts'
import { type FakeRegistry, startFakeRegistry } from './registry.ts'
import type { FakeAuthOptions } from './registry-auth.ts'

export interface ClientOptions {
  readonly credentials?: readonly Credential[]
  readonly keychain?: Keychain
  readonly now?: () => number
  readonly network?: Partial<Network>
  readonly clientCertificate?: LoadClientCertificate
  /** The proxies of the environment. */
  readonly proxyRules?: ProxyRules
  readonly bodyBudget?: ByteBudget
}

export type Client = ReturnType<typeof createManifestSource>

/** Registry settings with this URL as the endpoint. The host is that of the URL unless given. */
export function registryAt(url: string, changes: Partial<RegistrySettings> = {}): RegistrySettings {
  const endpoint = new URL(url)
  return {
    host: endpoint.host,
    endpoint,
    mirror: false,
    probe: true,
    platforms: [],
    credentials: null,
    ca: null,
    authHosts: [],
    allowPlainHttpAuth: false,
    ...changes,
  }
}

export function createClient(
  registries: readonly RegistrySettings[],
  {
    credentials = [],
    keychain,
    now = () => 0,
    network = {},
    clientCertificate,
    proxyRules = noProxyRules,
    bodyBudget = createByteBudget(bodyBudgetBytes.webhook),
  }: ClientOptions = {},
): Client {
  return createManifestSource({
    registries: new Map(registries.map((settings) => [settings.host, settings])),
    keychainFor: () => keychain ?? { lookup: () => Promise.resolve(credentials) },
    now,
    bodyBudget,
    proxyRules,
    clientCertificateFor: () => clientCertificate ?? null,
    network: { ...systemNetwork, ...network },
  })
}

/** Queries `team/app:1`, or the given image. */
export async function ask(
  client: Client,
  host: string,
  { reference = '1', repository = 'team/app', signal = new AbortController().signal } = {},
): Promise<ManifestAnswer> {
  const prepared = await client.prepare({ host, repository, reference, namespace: 'default' })
  return prepared.send(signal)
}

/** A credential with the user `user` and this password, from the source `test`. */
export function credential(password: string, username = 'user'): Credential {
  return { username, password, source: `test ${username}` }
}

/** A registry with `team/app:1`, and a client that may send credentials to it over plain HTTP. */
export async function startGuarded(
  auth: FakeAuthOptions,
  options: ClientOptions = {},
  changes: Partial<RegistrySettings> = {},
): Promise<{ registry: FakeRegistry; client: Client }> {
  const registry = await startFakeRegistry({ auth })
  registry.addManifest({ repository: 'team/app', tag: '1' })
  const settings = registryAt(registry.url, {
    allowPlainHttpAuth: true,
    authHosts: [registry.tokenHost],
    ...changes,
  })
  return { registry, client: createClient([settings], options) }
}

/** Starts registries as `startGuarded` does, and closes them and their clients after each test of the file. */
export function startGuardedForTests(): typeof startGuarded {
  const open: (Client | FakeRegistry)[] = []
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.close()))
  })
  return async (...args) => {
    const started = await startGuarded(...args)
    open.push(started.client, started.registry)
    return started
  }
}

/** The server, method and kind of authorization of each request: `registry HEAD bare`. */
export function exchangesOf({ requests }: FakeRegistry): string[] {
  return requests.map(({ server, method, headers }) => {
    const [scheme = 'bare'] = headers.authorization?.split(' ') ?? []
    return `${server} ${method} ${scheme}`
  })
}
