/** The engine of the config that is in force, and its replacement when the config is reloaded. */
import { createByteBudget } from '../async/byte-budget.ts'
import type { Config } from '../config/config.ts'
import {
  createEngine,
  createTokenCache,
  type Engine,
  type EngineOptions,
} from '../engine/decision-engine.ts'
import { bodyBudgetBytes } from '../registry/http/response-body.ts'
import type { SecretProvisioner } from './admission/secret-provisioner.ts'

export interface CurrentEngineOptions extends EngineOptions {
  /** Creates the provisioner for the copies of a config. Left out: no pull secrets are created. */
  readonly createSecretProvisioner?:
    ((copies: Config['pullSecretCopies']['copies']) => SecretProvisioner) | undefined
}

export type WebhookEngine = Engine & { readonly secretProvisioner?: SecretProvisioner }

export interface CurrentEngine {
  get(): WebhookEngine
  /** Puts another config in force, for reviews that start from now on. */
  replace(config: Config): void
  close(): Promise<void>
}

/** Twice the time budget of a review: a review that started with the old engine has ended by then. */
const oldEngineLifeMs = 5_000

export function createCurrentEngine(config: Config, options: CurrentEngineOptions): CurrentEngine {
  // Shared by all engines: a reload does not fetch tokens again, and does not double the memory for bodies.
  const ecrTokens = createTokenCache(options)
  const bodyBudget = createByteBudget(bodyBudgetBytes.webhook)

  function create(from: Config): WebhookEngine {
    const secretProvisioner = options.createSecretProvisioner?.(from.pullSecretCopies.copies)
    return {
      ...createEngine(from, { ...options, ecrTokens, bodyBudget }),
      ...(secretProvisioner === undefined ? {} : { secretProvisioner }),
    }
  }

  /** Starts fetching ECR tokens before the first review needs them. */
  function prefetchTokens({ registries }: Config): void {
    for (const { credentials } of registries.values())
      if (credentials?.kind === 'ecr') void ecrTokens.current(credentials)
  }

  let engine = create(config)
  prefetchTokens(config)
  return {
    get: () => engine,
    replace: (next) => {
      // Only the connections of the old engine stay until then, not its table and its caches.
      const { close } = engine
      engine = create(next)
      prefetchTokens(next)
      setTimeout(() => void close(), oldEngineLifeMs).unref()
    },
    close: () => engine.close(),
  }
}
