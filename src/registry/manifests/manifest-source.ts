/** Probes registries for manifests, for the decision. Each registry has its own connections, CA, tokens and credentials. */
import { credentialIdentity } from '../../credentials/credential-identity.ts'
import type { Credential } from '../../credentials/keychain.ts'
import type {
  ManifestAnswer,
  ManifestQuery,
  ManifestSource,
  PreparedQuery,
} from '../../decision/resolve/manifest-source.ts'
import type { PlatformSource } from '../../decision/resolve/platform-lookup.ts'
import { BerthError } from '../../errors.ts'
import { createSession } from '../auth/session.ts'
import {
  type ConnectionDependencies,
  createConnections,
  type RegistryConnection,
} from '../connections.ts'
import { failed } from '../http/network-error.ts'
import { apiUrl } from '../http/urls.ts'
import { acceptHeader } from './manifest-headers.ts'
import { maxManifestBytes } from './manifest-json.ts'
import { lookUpManifest } from './manifest-lookup.ts'
import { readPlatforms } from './platforms.ts'

/** Opens no connection and reads no credential before the first query. Contacts only registries of the config. */
export function createManifestSource(
  dependencies: ConnectionDependencies,
): ManifestSource & PlatformSource & { close(): Promise<void> } {
  const { registries } = dependencies
  const connections = createConnections(dependencies)

  return {
    isListed: (host) => registries.has(host),
    isProbed: (host) => registries.get(host)?.probe ?? false,
    async prepare(query) {
      const { host, repository } = query
      const connection = connections.get(host)
      if (connection === undefined) {
        return unsent(failed('invalid', `${host} is not listed under registries`))
      }
      try {
        const { keychain, settings } = connection
        return prepare(connection, query, await keychain.lookup(settings.host, repository))
      } catch (error) {
        if (error instanceof BerthError) return unsent(failed('denied', error.message))
        throw error
      }
    },
    async readPlatforms(query, signal) {
      const { host, repository, reference } = query
      const connection = connections.get(host)
      if (connection === undefined)
        return { ok: false, detail: `${host} is not listed under registries` }
      const credentials = await lookUpCredentials(connection, repository)
      if (credentials === null) return { ok: false, detail: 'the credentials cannot be read' }
      const identity = credentialIdentity(credentials)
      const session = createSession(connection, { repository, credentials, identity })
      return readPlatforms(reference, (path, options) =>
        session({
          method: 'GET',
          url: apiUrl(connection.settings.endpoint, `${repository}/${path}`),
          signal,
          ...options,
        }),
      )
    },
    close: () => connections.close(),
  }
}

async function lookUpCredentials(
  { keychain, settings }: RegistryConnection,
  repository: string,
): Promise<readonly Credential[] | null> {
  try {
    return await keychain.lookup(settings.host, repository)
  } catch (error) {
    if (error instanceof BerthError) return null
    throw error
  }
}

function prepare(
  connection: RegistryConnection,
  { repository, reference }: ManifestQuery,
  credentials: readonly Credential[],
): PreparedQuery {
  const identity = credentialIdentity(credentials)
  const url = apiUrl(connection.settings.endpoint, `${repository}/manifests/${reference}`)
  const headers = { accept: acceptHeader }
  return {
    credentialIdentity: identity,
    send(signal) {
      const session = createSession(connection, { repository, credentials, identity })
      return lookUpManifest({
        send: (method, consumer) =>
          session({
            method,
            url,
            headers,
            maxBodyBytes: maxManifestBytes,
            ...(consumer === undefined ? {} : { consumer }),
            signal,
          }),
        reference,
        headSupport: connection.headSupport,
        now: connection.now,
      })
    },
  }
}

/** A query with an answer that needs no request. Its identity differs from that of every credential. */
function unsent(answer: ManifestAnswer): PreparedQuery {
  return { credentialIdentity: 'unasked', send: () => Promise.resolve(answer) }
}
