/** Repositories of Amazon ECR, which have to be there before anything is pushed to them. */
import { awsSdk } from '../aws/sdk.ts'
import { createEcrRepository } from '../aws/role-chain.ts'
import { parseEcrHost } from '../aws/ecr-host.ts'
import type { CreateRepository } from '../mirror/copy-image.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'

export interface RepositoryMaker {
  readonly settings: ReadonlyMap<string, Pick<RegistrySettings, 'credentials'>>
  readonly secretsDirectory: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Makes repositories by the identity that fetches the registry's tokens; false for a host that is not one of ECR. */
export function ecrRepositories({
  settings,
  secretsDirectory,
  env,
}: RepositoryMaker): CreateRepository {
  const chain = { aws: awsSdk, secretsDirectory, env, now: () => Date.now() }
  return async (host, name) => {
    const credentials = settings.get(host)?.credentials
    if (credentials?.kind !== 'ecr') return false
    const ecr = parseEcrHost(host)
    const accountId = ecr?.kind === 'private' ? ecr.accountId : null
    const made = await createEcrRepository(chain, credentials, { name, accountId })
    if (made === true) return true
    throw new RegistryError({ outcome: 'denied', detail: made.message })
  }
}
