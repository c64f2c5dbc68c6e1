/** Looks up credentials for Amazon ECR registries: the user `AWS` and a cached token. */
import type { Keychain } from '../credentials/keychain.ts'
import { BerthError } from '../errors.ts'
import type { EcrSettings } from './ecr-settings.ts'
import type { EcrTokenCache } from './ecr-token-cache.ts'

/**
 * Creates a keychain whose lookups reject with `credentials-invalid` while there is no valid token. The message appears on pods,
 * so it names only the step that failed, and not the roles; `onFailure` of the cache receives the full message.
 */
export function createEcrKeychain(settings: EcrSettings, tokens: EcrTokenCache): Keychain {
  return {
    async lookup() {
      const { token, failure } = await tokens.current(settings)
      if (token === null) {
        throw new BerthError('credentials-invalid', failure?.summary ?? 'there is no ECR token')
      }
      const { username, password, caller } = token
      const source = `the ECR token of ${caller} in ${settings.region}`
      return [{ username, password, source }]
    },
  }
}
