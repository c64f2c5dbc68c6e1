/** Credentials for registries of Amazon ECR: the user `AWS`, and a token that is fetched when it is needed. */
import { BerthError } from '../errors.ts'
import type { EcrSettings } from './ecr-settings.ts'
import type { EcrTokenCache } from './ecr-token-cache.ts'
import type { Keychain } from '../credentials/keychain.ts'

/**
 * A keychain whose lookups reject with `credentials-invalid` while there is no token. The message ends up on pods, so it says
 * which link is broken and no more; the whole chain is told where the failure happens. A token that is still good is given
 * out whatever happens to its successor.
 */
export function createEcrKeychain(settings: EcrSettings, tokens: EcrTokenCache): Keychain {
  return {
    async lookup() {
      const { token, failure } = await tokens.current(settings)
      if (token === null) {
        throw new BerthError('credentials-invalid', failure?.summary ?? 'no ECR token came')
      }
      const { username, password, caller } = token
      const source = `the ECR token of ${caller} in ${settings.region}`
      return [{ username, password, source }]
    },
  }
}
