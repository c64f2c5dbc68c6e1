/** Credentials for registries of Amazon ECR: the user `AWS`, and a token that is fetched when it is needed. */
import { BerthError } from '../errors.ts'
import type { EcrSettings } from './ecr-settings.ts'
import type { EcrTokens } from './ecr-tokens.ts'
import type { Keychain } from './keychain.ts'

/**
 * A keychain whose lookups reject with `credentials-invalid` while there is no token: the message names the link of the chain
 * that is broken. A token that is still good is given out whatever happens to its successor.
 */
export function createEcrKeychain(settings: EcrSettings, tokens: EcrTokens): Keychain {
  return {
    async lookup() {
      const { token, failure } = await tokens.current(settings)
      if (token === null) {
        throw new BerthError('credentials-invalid', failure?.message ?? 'no token of ECR came')
      }
      const { username, password, caller } = token
      const source = `the ECR token of ${caller} in ${settings.region}`
      return [{ username, password, source }]
    },
  }
}
