import { createMirrorLoop } from './mirror-loop.ts'
import type { Loop } from './runtime/loops.ts'
import { createKeychain } from '../engine/keychain.ts'
import { createConnections } from '../registry/http/connections.ts'
import { systemClock } from '../registry/http/retry-policy.ts'
import { createRegistries } from '../registry/repository.ts'
import type { ControllerParts } from '../cli/commands/controller.ts'
import { ecrRepositories } from '../engine/ecr-repositories.ts'

/** The loop that fills mirrors, or none where the config does not ask for it. */
export function mirrorLoops({
  cluster,
  config,
  secretsDirectory,
  ecrTokens,
  env,
  log,
  metrics,
}: ControllerParts): readonly Loop[] {
  if (!config.mirror.running) return []
  const onProblem = (problem: string) => log.warn({ problem }, 'credentials')
  const loop = createMirrorLoop({
    api: cluster.api,
    table: config.table,
    settings: config.mirror,
    openRegistries: () =>
      createRegistries(
        createConnections({
          registries: config.registries,
          keychainFor: ({ credentials }) =>
            createKeychain(credentials, { secretsDirectory, ecrTokens, onProblem }),
          now: () => Date.now(),
        }),
        systemClock,
      ),
    makeRepository: config.mirror.createRepositories
      ? ecrRepositories({ settings: config.registries, secretsDirectory, env })
      : null,
    log,
    metrics: metrics.mirror,
  })
  return [loop]
}
