/**
 * Asks registries for manifests. Only hosts that the configuration names are ever contacted, each over a transport of
 * its own, so that a private CA, a token or a redirect of one registry never serves another.
 */
import { credentialIdentity } from '../credentials/identity.ts'
import type { Credential, Keychain } from '../credentials/keychain.ts'
import { BerthError } from '../errors.ts'
import type { Answer, ManifestSource, PreparedQuestion, Question } from '../resolve/ports.ts'
import { type Network, systemNetwork } from './address.ts'
import { failed } from './failure.ts'
import { acceptHeader, askManifest, maxManifestBytes } from './manifest.ts'
import { hostOf } from './realm.ts'
import { createMemory, createSession, type SessionDependencies } from './session.ts'
import type { RegistrySettings } from './settings.ts'
import { createTokenSource } from './token.ts'
import { createTransport } from './transport.ts'

export interface ManifestSourceDependencies {
  readonly registries: ReadonlyMap<string, RegistrySettings>
  /** Called once for each registry; those without credentials get an empty keychain. */
  readonly keychainFor: (settings: RegistrySettings) => Keychain
  readonly now: () => number
  /** Names and addresses; the system's own when not given. */
  readonly network?: Network
}

interface Connected extends SessionDependencies {
  readonly keychain: Keychain
}

/** Opens no connection and reads no credential until the first question. */
export function createManifestSource(
  dependencies: ManifestSourceDependencies,
): ManifestSource & { close(): Promise<void> } {
  const { registries } = dependencies
  const connected = new Map(
    [...registries].map(([host, settings]) => [host, connect(settings, dependencies)]),
  )

  return {
    knows: (host) => registries.has(host),
    probes: (host) => registries.get(host)?.probe ?? false,
    async prepare(question) {
      const registry = connected.get(question.host)
      if (registry === undefined) {
        return answered(failed('invalid', `${question.host} is not listed under registries`))
      }
      try {
        const { host, repository } = question
        return prepared(registry, question, await registry.keychain.lookup(host, repository))
      } catch (error) {
        if (error instanceof BerthError) return answered(failed('denied', error.message))
        throw error
      }
    },
    async close() {
      await Promise.all([...connected.values()].map(({ transport }) => transport.close()))
    },
  }
}

function connect(
  settings: RegistrySettings,
  { registries, keychainFor, now, network = systemNetwork }: ManifestSourceDependencies,
): Connected {
  const { endpoint, ca, authHosts } = settings
  const listed = new Set([
    ...[...registries.values()].flatMap((one) => [one.endpoint.origin, ...originsOf(one.host)]),
    ...authHosts.flatMap(originsOf),
  ])
  const transport = createTransport({ network, home: endpoint.origin, listed, ca })
  return {
    settings,
    transport,
    tokens: createTokenSource({ transport, now }),
    memory: createMemory(),
    keychain: keychainFor(settings),
    now,
  }
}

function originsOf(host: string): string[] {
  return ['https:', 'http:'].flatMap((protocol) => {
    const name = hostOf(host, protocol)
    return name === null ? [] : [`${protocol}//${name}`]
  })
}

function prepared(
  registry: Connected,
  { repository, reference }: Question,
  credentials: readonly Credential[],
): PreparedQuestion {
  const identity = credentialIdentity(credentials)
  const url = manifestUrl(registry.settings.endpoint, repository, reference)
  return {
    credentialIdentity: identity,
    ask: (signal) => {
      const session = createSession(registry, { repository, credentials, identity })
      return askManifest({
        send: (method) =>
          session({
            method,
            url,
            headers: { accept: acceptHeader },
            maxBodyBytes: maxManifestBytes,
            signal,
          }),
        reference,
        now: registry.now,
      })
    },
  }
}

/** A question whose answer is known without asking. No credential is behind it, so it shares no key with one. */
function answered(answer: Answer): PreparedQuestion {
  return { credentialIdentity: 'unasked', ask: () => Promise.resolve(answer) }
}

/** `/v2/<name>/manifests/<reference>` (distribution-spec, end-3), below the endpoint's own path if it has one. */
function manifestUrl(endpoint: URL, repository: string, reference: string): URL {
  const url = new URL(endpoint)
  const prefix = endpoint.pathname.endsWith('/')
    ? endpoint.pathname.slice(0, -1)
    : endpoint.pathname
  url.pathname = `${prefix}/v2/${repository}/manifests/${reference}`
  return url
}
