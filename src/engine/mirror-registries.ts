/** The registries that a mirror command may speak to: those of the config, and hosts that the command line itself names. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../config/config.ts'
import { unlistedRegistry } from '../config/registries.ts'
import type { EcrTokenCache } from '../aws/ecr-token-cache.ts'
import { createKeychain, type KeychainOptions } from './keychain.ts'
import type { Keychain } from '../credentials/keychain.ts'
import { canonicalHost } from '../decision/fallback/registry-aliases.ts'
import type { CreateRepository } from '../mirror/copy-image.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { createConnections } from '../registry/connections.ts'
import { systemClock } from '../registry/http/retry-policy.ts'
import { createRegistryClient, type RegistryClient } from '../registry/registry-client.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import type { RepositoryMaker } from './ecr-repositories.ts'
import type { EngineOptions } from './decision-engine.ts'

export interface MirrorRegistriesOptions {
  /** Null where the command line says everything, and there is no config file. */
  readonly config: Config | null
  /** The images and pairs of the command line: their registries may be asked even if the config does not list them. */
  readonly names: readonly string[]
  readonly secretsDirectory: string
  /** Whether missing repositories of Amazon ECR are created, as the config may say too. */
  readonly createRepositories: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  /** Receives a message about each credential that cannot be used. */
  readonly onProblem: (message: string) => void
}

export interface OpenedMirror {
  readonly registries: RegistryClient
  /** Null where the command line says everything, and there is no config file. */
  readonly config: Config | null
  /** Null where repositories may not be made (`--create-repos`). */
  readonly createRepository: CreateRepository | null
}

/** Opens the registries of the config and of the command line. */
export async function openMirror(options: MirrorRegistriesOptions): Promise<OpenedMirror> {
  const { config, secretsDirectory, onProblem, env } = options
  const settings = new Map(config?.registries ?? [])
  for (const name of options.names.flatMap((each) => each.split('='))) {
    const parsed = parseReference(name)
    const host = parsed.ok ? canonicalHost(parsed.reference.domain) : ''
    const unlisted = host === '' || settings.has(host) ? null : unlistedRegistry(host)
    if (unlisted !== null) settings.set(host, unlisted)
  }
  const hasEcr = [...settings.values()].some(({ credentials }) => credentials?.kind === 'ecr')
  const engineOptions = { secretsDirectory, onProblem, env }
  const keychainFor = keychains(env, {
    ...engineOptions,
    ...(hasEcr ? { ecrTokens: await tokenStore(engineOptions) } : {}),
  })
  const connections = createConnections({
    registries: settings,
    keychainFor,
    now: () => Date.now(),
  })
  const mayCreate = options.createRepositories || config?.mirror.createRepositories === true
  return {
    config,
    registries: createRegistryClient(connections, systemClock),
    createRepository:
      mayCreate && hasEcr ? await repositories({ settings, secretsDirectory, env }) : null,
  }
}

/** What the config says of a registry, and where it says nothing, the caller's own docker config. */
function keychains(
  env: MirrorRegistriesOptions['env'],
  options: KeychainOptions,
): (settings: RegistrySettings) => Keychain {
  const own = dockerConfigOf(env)
  const fallback = own === null ? null : ({ kind: 'dockerConfig', file: own } as const)
  return ({ credentials }) => createKeychain(credentials ?? fallback, options)
}

/** Loaded only where a registry of ECR is: it brings more than a copy between others needs. */
async function tokenStore(options: EngineOptions): Promise<EcrTokenCache> {
  const { createTokenStore } = await import('./decision-engine.ts')
  return createTokenStore(options)
}

/** Loaded only where it is wanted, with all that AWS takes. */
async function repositories(maker: RepositoryMaker): Promise<CreateRepository> {
  const { ecrRepositories } = await import('./ecr-repositories.ts')
  return ecrRepositories(maker)
}

/** `docker login` writes to $DOCKER_CONFIG/config.json, else to ~/.docker/config.json. */
function dockerConfigOf(env: MirrorRegistriesOptions['env']): string | null {
  const directory = env['DOCKER_CONFIG'] ?? join(env['HOME'] ?? homedir(), '.docker')
  const file = join(directory, 'config.json')
  return existsSync(file) ? file : null
}
