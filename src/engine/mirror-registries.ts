/** Opens the registries whose images are compared or copied: those of the config, and those that the command line names. */
import { createByteBudget } from '../async/byte-budget.ts'
import type { EcrTokenCache } from '../aws/ecr-token-cache.ts'
import type { Config } from '../config/config.ts'
import { unlistedRegistry } from '../config/registries.ts'
import { createHostMap } from '../decision/fallback/host-map.ts'
import { hubHost } from '../decision/fallback/registry-aliases.ts'
import { parseName } from '../decision/reference/parse-name.ts'
import type { Keychain } from '../credentials/keychain.ts'
import type { CreateRepository } from '../mirror/copy-blobs.ts'
import { proxyRulesFromEnvironment } from '../proxy/proxy-rules.ts'
import { createConnections } from '../registry/connections.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import { bodyBudgetBytes } from '../registry/http/response-body.ts'
import { systemClock } from '../registry/http/retry-policy.ts'
import type { ImageStore } from '../registry/images/image-store.ts'
import { createRegistryStore } from '../registry/images/registry-store.ts'
import { createRegistryClient, type RegistryClient } from '../registry/registry-client.ts'
import { createHelperRunner } from './credential-helper.ts'
import type { EngineOptions } from './decision-engine.ts'
import type { EcrRepositoryOptions } from './ecr-repositories.ts'
import { createClientCertificate } from './client-certificate.ts'
import { createKeychain } from './keychain.ts'
import { aboutUnmounted, dockerConfigFile, isUnmounted, loginRefusal } from './own-login.ts'

type Environment = Readonly<Record<string, string | undefined>>

export interface MirrorRegistriesOptions {
  /** Null if there is no config file, and the command line names pairs only. */
  readonly config: Config | null
  /** Images and pairs of the command line. Their registries may be asked even if the config does not list them. */
  readonly names: readonly string[]
  readonly secretsDirectory: string
  /** Whether to create missing repositories of Amazon ECR. The config may ask for it too. */
  readonly createRepositories: boolean
  readonly env: Environment
  /** Receives a message about each credential that cannot be used. */
  readonly onProblem: (message: string) => void
}

export interface MirrorRegistries {
  readonly registries: RegistryClient
  /** The images of these registries. */
  readonly images: ImageStore
  readonly config: Config | null
  /** Null if missing repositories are not created. */
  readonly createRepository: CreateRepository | null
}

/** Opens the registries, which the caller has to close. */
export async function openMirrorRegistries(
  options: MirrorRegistriesOptions,
): Promise<MirrorRegistries> {
  const { config, secretsDirectory, onProblem, env } = options
  const refusals = new Map<string, string>()
  const settings = registrySettings(config, options.names, ownLogin(options, refusals))
  const hasEcr = [...settings.values()].some(({ credentials }) => credentials?.kind === 'ecr')
  const engineOptions = { secretsDirectory, onProblem, env }
  const keychainOptions = {
    ...engineOptions,
    ownLogin: true,
    runHelper: createHelperRunner(env),
    ...(hasEcr ? { ecrTokens: await loadEcrTokens(engineOptions) } : {}),
  }
  const connections = createConnections({
    registries: settings,
    keychainFor: ({ credentials, host }) => {
      const keychain = createKeychain(credentials, keychainOptions)
      const refusal = refusals.get(host)
      return refusal === undefined ? keychain : withMessage(keychain, () => onProblem(refusal))
    },
    now: () => Date.now(),
    clientCertificateFor: ({ clientCertificate }) =>
      createClientCertificate(clientCertificate, { secretsDirectory, onProblem }),
    proxyRules: proxyRulesFromEnvironment(env),
    bodyBudget: createByteBudget(bodyBudgetBytes.command),
  })
  const mayCreate = options.createRepositories || config?.mirror.createRepositories === true
  const registries = createRegistryClient(connections, systemClock)
  return {
    config,
    registries,
    images: createRegistryStore(registries),
    createRepository:
      mayCreate && hasEcr ? await loadRepositoryCreator({ settings, secretsDirectory, env }) : null,
  }
}

/** The registries of the config and of the names, by host. */
function registrySettings(
  config: Config | null,
  names: readonly string[],
  withLogin: (settings: RegistrySettings) => RegistrySettings,
): ReadonlyMap<string, RegistrySettings> {
  const settings = createHostMap<RegistrySettings>(config?.table.isPlainHttp)
  for (const [host, each] of config?.registries ?? []) settings.set(host, withLogin(each))
  for (const name of names.flatMap((each) => each.split('='))) {
    const parsed = parseName(name)
    const host = parsed.ok ? hubHost(parsed.reference.domain) : ''
    const unlisted = host === '' || settings.has(host) ? null : unlistedRegistry(host)
    if (unlisted !== null) settings.set(host, withLogin(unlisted))
  }
  return settings
}

/** Returns the keychain. It calls `report` when it is asked first: most registries without credentials need none. */
function withMessage(keychain: Keychain, report: () => void): Keychain {
  let isReported = false
  return {
    lookup: (host, repository) => {
      if (!isReported) report()
      isReported = true
      return keychain.lookup(host, repository)
    },
  }
}

/**
 * Returns a function that gives a registry the caller's own docker config, if it has no credentials in the config, or if its
 * Secret is not mounted: Secrets are mounted in the cluster only, and on a machine the caller has a login of their own.
 * It goes only where docker sends it (`loginRefusal`); `refusals` get the reason for other registries, by host.
 */
function ownLogin(
  { env, secretsDirectory }: MirrorRegistriesOptions,
  refusals: Map<string, string>,
): (settings: RegistrySettings) => RegistrySettings {
  const file = dockerConfigFile(env)
  if (file === null) return (settings) => settings
  return (settings) => {
    const { credentials, host } = settings
    if (credentials !== null && !isUnmounted(credentials, secretsDirectory)) return settings
    const about =
      credentials === null
        ? `${host}: the config has no credentials`
        : aboutUnmounted(host, credentials.name, secretsDirectory)
    const refusal = loginRefusal(settings, about)
    if (refusal === null) return { ...settings, credentials: { kind: 'dockerConfig', file } }
    refusals.set(host, refusal)
    return settings
  }
}

/** Loaded only if a registry needs it, because it brings all of the engine along. */
async function loadEcrTokens(options: EngineOptions): Promise<EcrTokenCache> {
  const { createTokenCache } = await import('./decision-engine.ts')
  return createTokenCache(options)
}

/** Loaded only if repositories may be created, because it brings the client of AWS along. */
async function loadRepositoryCreator(options: EcrRepositoryOptions): Promise<CreateRepository> {
  const { ecrRepositoryCreator } = await import('./ecr-repositories.ts')
  return ecrRepositoryCreator(options)
}
