/** The docker login of the person who runs a command. The webhook and the controller never read it. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isLocalUrl } from '../proxy/no-proxy.ts'
import {
  type CredentialSettings,
  defaultEndpoint,
  type RegistrySettings,
} from '../registry/http/registry-settings.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Returns whether a registry has a pull secret that is not mounted here: Secrets are mounted in the cluster only. */
export function isUnmounted(
  credentials: CredentialSettings | null,
  secretsDirectory: string,
): credentials is Extract<CredentialSettings, { readonly kind: 'secret' }> {
  return credentials?.kind === 'secret' && !existsSync(join(secretsDirectory, credentials.name))
}

/** The file that `docker login` writes: $DOCKER_CONFIG/config.json, else ~/.docker/config.json. Null if it does not exist. */
export function dockerConfigFile(env: Environment): string | null {
  const directory = env['DOCKER_CONFIG'] ?? join(env['HOME'] ?? homedir(), '.docker')
  const file = join(directory, 'config.json')
  return existsSync(file) ? file : null
}

/**
 * Returns why the login for a registry may not be used with these settings; null if it may. Docker sends it to the host itself
 * only. A config of someone else, such as one that a pipeline checks, must not direct it elsewhere.
 */
function reasonAgainstLogin({ host, endpoint, ca, proxy }: RegistrySettings): string | null {
  const isDefault = endpoint.href === new URL(defaultEndpoint(host)).href
  if (!isDefault && !(endpoint.host === host && isLocalUrl(endpoint)))
    return 'its `endpoint` is another address'
  return ca !== null && typeof proxy === 'object' ? 'it has a `ca` and a `proxy`' : null
}

export interface OwnLoginOptions {
  readonly secretsDirectory: string
  readonly env: Environment
  /** Receives one message for each registry that is asked with the login. */
  readonly onUsed: (message: string) => void
}

/** Returns the message about a login that is not used for a registry; null if it may be used. */
export function loginRefusal(settings: RegistrySettings, about: string): string | null {
  const reason = reasonAgainstLogin(settings)
  return reason === null
    ? null
    : `${about}, and your docker login is not used, because ${reason}; to use it, add credentials: { dockerConfig: FILE } to the registry`
}

/** Says that the pull secret of a registry is not here. */
export function aboutUnmounted(host: string, secret: string, secretsDirectory: string): string {
  return `${host}: the pull secret ${secret} is not mounted in ${secretsDirectory}`
}

/** Where the keychain of a registry looks for credentials. */
export interface LoginChoice {
  readonly credentials: CredentialSettings | null
  /** Reports that the login is used; called for each lookup. */
  readonly onLookup?: () => void
}

/** Returns a function that selects the docker login for a registry whose pull secret is not mounted here. */
export function createLoginChoice({
  secretsDirectory,
  env,
  onUsed,
}: OwnLoginOptions): (settings: RegistrySettings) => LoginChoice {
  const file = dockerConfigFile(env)
  return (settings) => {
    const { credentials, host } = settings
    if (file === null || !isUnmounted(credentials, secretsDirectory)) return { credentials }
    const about = aboutUnmounted(host, credentials.name, secretsDirectory)
    const refusal = loginRefusal(settings, about)
    const message = refusal ?? `${about}; asking with your docker login in ${file}`
    let isReported = false
    const onLookup = () => {
      if (!isReported) onUsed(message)
      isReported = true
    }
    return {
      credentials: refusal === null ? { kind: 'dockerConfig', file } : credentials,
      onLookup,
    }
  }
}
