/** The registries that a mirror command may speak to: those of the config, and hosts that the command line itself names. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../config/config.ts'
import { unlistedRegistry } from '../config/registries.ts'
import type { EcrTokens } from '../aws/ecr-token-store.ts'
import { createKeychain, type KeychainOptions } from './keychain.ts'
import type { Keychain } from '../credentials/keychain.ts'
import { canonicalHost } from '../decision/fallback/registry-aliases.ts'
import type { MakeRepository } from '../mirror/copy.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { createConnections } from '../registry/http/connections.ts'
import { systemClock } from '../registry/http/retry-policy.ts'
import { createRegistries, type Registries } from '../registry/repository.ts'
import type { RegistrySettings } from '../registry/settings.ts'
import { configFile, type Parsed, text } from '../cli/options.ts'
import type { RepositoryMaker } from './ecr-repositories.ts'
import type { EngineOptions } from './decision-engine.ts'
import { defaultSecretsDirectory } from './secrets-directory.ts'
import { type Io, print } from '../cli/io.ts'

export interface OpenedMirror {
  readonly registries: Registries
  /** Null where the command line says everything, and there is no config file. */
  readonly config: Config | null
  /** Null where repositories may not be made (`--create-repos`). */
  readonly makeRepository: MakeRepository | null
}

/** Reads the config, if there is one or one is needed. Throws `config-unreadable` and `config-invalid`. */
export async function openMirror({ values, positionals }: Parsed, io: Io): Promise<OpenedMirror> {
  const config = isWithoutConfig(values, positionals) ? null : await readConfig(values)
  const settings = new Map(config?.registries ?? [])
  for (const name of positionals.flatMap((each) => each.split('='))) {
    const parsed = parseReference(name)
    const host = parsed.ok ? canonicalHost(parsed.reference.domain) : ''
    const unlisted = host === '' || settings.has(host) ? null : unlistedRegistry(host)
    if (unlisted !== null) settings.set(host, unlisted)
  }
  const secretsDirectory = text(values, 'secrets-dir') ?? defaultSecretsDirectory
  const onProblem = (message: string) => print(io.stderr, `berth: ${message}`)
  const hasEcr = [...settings.values()].some(({ credentials }) => credentials?.kind === 'ecr')
  const options = { secretsDirectory, onProblem, env: io.env }
  const keychainFor = keychains(io, {
    ...options,
    ...(hasEcr ? { ecrTokens: await tokenStore(options) } : {}),
  })
  const connections = createConnections({
    registries: settings,
    keychainFor,
    now: () => Date.now(),
  })
  const mayCreate = values['create-repos'] === true || config?.mirror.createRepositories === true
  return {
    config,
    registries: createRegistries(connections, systemClock),
    makeRepository:
      mayCreate && hasEcr ? await repositories({ settings, secretsDirectory, env: io.env }) : null,
  }
}

/** The config's libraries are a third of what a command has to load, and a pair needs none of them. */
async function readConfig(values: Parsed['values']): Promise<Config> {
  const { loadConfig } = await import('../config/load.ts')
  return loadConfig(configFile(values))
}

/** A pair says everything; what is not a pair is looked up in the table. */
function isWithoutConfig(values: Parsed['values'], positionals: readonly string[]): boolean {
  if (values['config'] !== undefined || positionals.length === 0) return false
  try {
    configFile(values)
    return false
  } catch {
    return positionals.length === 2 || positionals.every((each) => each.includes('='))
  }
}

/** What the config says of a registry, and where it says nothing, the caller's own docker config. */
function keychains(io: Io, options: KeychainOptions): (settings: RegistrySettings) => Keychain {
  const own = dockerConfigOf(io)
  const fallback = own === null ? null : ({ kind: 'dockerConfig', file: own } as const)
  return ({ credentials }) => createKeychain(credentials ?? fallback, options)
}

/** Loaded only where a registry of ECR is: it brings more than a copy between others needs. */
async function tokenStore(options: EngineOptions): Promise<EcrTokens> {
  const { createTokenStore } = await import('./decision-engine.ts')
  return createTokenStore(options)
}

/** Loaded only where it is wanted, with all that AWS takes. */
async function repositories(maker: RepositoryMaker): Promise<MakeRepository> {
  const { ecrRepositories } = await import('./ecr-repositories.ts')
  return ecrRepositories(maker)
}

/** `docker login` writes to $DOCKER_CONFIG/config.json, else to ~/.docker/config.json. */
function dockerConfigOf({ env }: Io): string | null {
  const directory = env['DOCKER_CONFIG'] ?? join(env['HOME'] ?? homedir(), '.docker')
  const file = join(directory, 'config.json')
  return existsSync(file) ? file : null
}
