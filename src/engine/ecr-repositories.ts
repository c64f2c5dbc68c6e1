/** Creates repositories of Amazon ECR, which does not create them on push. */
import { parseEcrHost } from '../aws/ecr-host.ts'
import { createEcrRepository } from '../aws/role-chain.ts'
import { awsSdk } from '../aws/sdk.ts'
import type { CreateRepository } from '../mirror/copy-blobs.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'

export interface EcrRepositoryOptions {
  readonly settings: ReadonlyMap<string, Pick<RegistrySettings, 'credentials'>>
  readonly secretsDirectory: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * Returns a function that creates a repository with the identity that fetches the registry's tokens. It returns false for a
 * host without `ecr` credentials, and throws RegistryError.
 */
export function ecrRepositoryCreator({
  settings,
  secretsDirectory,
  env,
}: EcrRepositoryOptions): CreateRepository {
  const chain = { aws: awsSdk, secretsDirectory, env, now: () => Date.now() }
  return async (host, name) => {
    const credentials = settings.get(host)?.credentials
    if (credentials?.kind !== 'ecr') return false
    const ecr = parseEcrHost(host)
    const accountId = ecr?.kind === 'private' ? ecr.accountId : null
    const result = await createEcrRepository(chain, credentials, { name, accountId })
    if (result === true) return true
    throw new RegistryError({ outcome: 'denied', detail: result.message })
  }
}
