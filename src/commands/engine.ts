/** Wires the rooms that decide: configuration, registries, credentials, cache. */
import type { Config } from '../config/config.ts'
import { createKeychain } from '../credentials/file.ts'
import type { AdmissionPolicy } from '../admission/decide.ts'
import { createManifestSource } from '../registry/client.ts'
import { type Circuits, createCircuits } from '../resolve/circuit.ts'
import { createDecide, type Decide } from '../resolve/decisions.ts'
import { createCache } from '../resolve/cache.ts'
import type { ResolveDependencies } from '../resolve/resolve.ts'

export interface Engine {
  readonly policy: AdmissionPolicy
  readonly resolve: ResolveDependencies
  readonly decide: Decide
  readonly circuits: Circuits
  close(): Promise<void>
}

/** Where a Deployment mounts the pull secrets that `credentials: { secret: … }` names, a directory for each. */
export const defaultSecretsDirectory = '/var/run/secrets/berth'

export interface EngineOptions {
  readonly secretsDirectory: string
  /** Milliseconds for one question to a registry; what a webhook has when left out. */
  readonly questionMs?: number
  /** Told of credentials that cannot be used. */
  readonly onProblem?: (message: string) => void
}

/** Makes an engine for one configuration; the next configuration gets one of its own. */
export function createEngine(config: Config, options: EngineOptions): Engine {
  const { secretsDirectory, questionMs, onProblem } = options
  const now = () => performance.now()
  const circuits = createCircuits(now)
  const source = createManifestSource({
    registries: config.registries,
    keychainFor: (settings) =>
      createKeychain(settings.credentials, {
        secretsDirectory,
        ...(onProblem === undefined ? {} : { onProblem }),
      }),
    // Dates and expiries come from outside, and are by the wall clock.
    now: () => Date.now(),
  })
  const resolve: ResolveDependencies = {
    ask: createCache(circuits.guard(source), {
      now,
      ...(questionMs === undefined ? {} : { questionMs }),
    }),
    knows: (host) => source.knows(host),
    probes: (host) => source.probes(host),
    now,
  }
  return {
    policy: config,
    resolve,
    decide: createDecide(resolve, config),
    circuits,
    close: () => source.close(),
  }
}
