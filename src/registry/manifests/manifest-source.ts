/**
 * Asks registries for manifests. Only hosts that the configuration names are ever contacted, each over a transport of
 * its own, so that a private CA, a token or a redirect of one registry never serves another.
 */
import { credentialIdentity } from '../../credentials/credential-identity.ts'
import type { Credential } from '../../credentials/keychain.ts'
import { BerthError } from '../../errors.ts'
import type {
  ManifestAnswer,
  ManifestSource,
  PreparedQuery,
  ManifestQuery,
} from '../../decision/resolve/manifest-source.ts'
import {
  apiUrl,
  type RegistryConnection,
  type ConnectionDependencies,
  createConnections,
} from '../connections.ts'
import { failed } from '../http/network-error.ts'
import { acceptHeader, lookUpManifest, maxManifestBytes } from './manifest-lookup.ts'
import { createSession } from '../auth/session.ts'

/** Opens no connection and reads no credential until the first question. */
export function createManifestSource(
  dependencies: ConnectionDependencies,
): ManifestSource & { close(): Promise<void> } {
  const { registries } = dependencies
  const connections = createConnections(dependencies)

  return {
    isListed: (host) => registries.has(host),
    isProbed: (host) => registries.get(host)?.probe ?? false,
    async prepare(question) {
      const registry = connections.get(question.host)
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
    close: () => connections.close(),
  }
}

function prepared(
  registry: RegistryConnection,
  { repository, reference }: ManifestQuery,
  credentials: readonly Credential[],
): PreparedQuery {
  const identity = credentialIdentity(credentials)
  const url = apiUrl(registry.settings.endpoint, `${repository}/manifests/${reference}`)
  return {
    credentialIdentity: identity,
    send: (signal) => {
      const session = createSession(registry, { repository, credentials, identity })
      return lookUpManifest({
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
function answered(answer: ManifestAnswer): PreparedQuery {
  return { credentialIdentity: 'unasked', send: () => Promise.resolve(answer) }
}
