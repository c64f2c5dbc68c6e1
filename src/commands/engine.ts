/** Wires the rooms that decide: configuration, registries, credentials, cache. */
import type { Config } from '../config/config.ts'
import { createKeychain } from '../credentials/file.ts'
import type { AdmissionPolicy } from '../admission/decide.ts'
import { createManifestSource } from '../registry/client.ts'
import { createCache } from '../resolve/cache.ts'
import type { ResolveDependencies } from '../resolve/resolve.ts'

export interface Engine {
  readonly policy: AdmissionPolicy
  readonly resolve: ResolveDependencies
  close(): Promise<void>
}

/** Where a Deployment mounts the pull secrets that `credentials: { secret: … }` names, a directory for each. */
export const defaultSecretsDirectory = '/var/run/secrets/berth'

/** Makes an engine for one configuration; the next configuration gets one of its own. */
export function createEngine(config: Config, secretsDirectory: string): Engine {
  const now = () => performance.now()
  const source = createManifestSource({
    registries: config.registries,
    keychainFor: (settings) => createKeychain(settings.credentials, { secretsDirectory }),
    now,
  })
  return {
    policy: {
      table: config.table,
      pin: config.pin,
      pullPolicy: config.pullPolicy,
      pullSecrets: config.pullSecrets,
      mode: config.mode,
    },
    resolve: {
      ask: createCache(source, { now }),
      knows: (host) => source.knows(host),
      probes: (host) => source.probes(host),
      now,
    },
    close: () => source.close(),
  }
}
