import { createMirrorLoop } from '../controller/mirror.ts'
import type { Loop } from '../controller/loop.ts'
import { createKeychain } from '../credentials/file.ts'
import { createConnections } from '../registry/connections.ts'
import { systemClock } from '../registry/patience.ts'
import { createRegistries } from '../registry/repository.ts'
import type { ControllerParts } from './controller.ts'
import { ecrRepositories } from './ecr-repositories.ts'

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
