/** The authorization of the fake registry, and its token server (distribution, docs/content/spec/auth/token.md). */
import { errorAnswer, type LoggedRequest, type NormalAnswer } from './registry-behaviour.ts'

export type FakeAuthOptions =
  | { readonly kind: 'none' }
  | { readonly kind: 'basic'; readonly users: Readonly<Record<string, string>> }
  | {
      readonly kind: 'bearer'
      readonly users?: Readonly<Record<string, string>>
      /** Whether clients without credentials may pull. By default they may if there are no users. */
      readonly anonymous?: boolean
      /** True: the token server is a separate server, on another port. */
      readonly separate?: boolean
      readonly expiresIn?: number
      /** `token` as in the specification, or `access_token` as in OAuth 2.0. */
      readonly field?: 'token' | 'access_token'
      /** Returns the challenge for a realm, instead of the usual one. */
      readonly challenge?: (realm: string) => string | string[]
    }

export interface FakeAuth {
  /** Returns the response for an unauthorized request, or null if it is authorized. */
  refusal(request: LoggedRequest, repository: string): NormalAnswer | null
  tokenAnswer(request: LoggedRequest): NormalAnswer
  revoke(): void
}

export function createFakeAuth(options: FakeAuthOptions, tokenUrl: string): FakeAuth {
  /** The granted scopes of each token. */
  const granted = new Map<string, readonly string[]>()
  let count = 0

  const challenge = (repository: string): string | string[] => {
    if (options.kind !== 'bearer') return 'Basic realm="fake"'
    const realm = `${tokenUrl}/token`
    return (
      options.challenge?.(realm) ??
      `Bearer realm="${realm}",service="fake",scope="repository:${repository}:pull"`
    )
  }

  const known = (authorization: string | undefined): boolean => {
    if (options.kind === 'none' || authorization?.startsWith('Basic ') !== true) return false
    const pair = Buffer.from(authorization.slice('Basic '.length), 'base64').toString()
    const colon = pair.indexOf(':')
    return options.users?.[pair.slice(0, colon)] === pair.slice(colon + 1)
  }

  const mayPull = (authorization: string | undefined, repository: string): boolean => {
    if (options.kind === 'none') return true
    if (options.kind === 'basic') return known(authorization)
    const scopes = granted.get(authorization?.replace(/^Bearer /, '') ?? '') ?? []
    return scopes.includes(`repository:${repository}:pull`)
  }

  return {
    refusal({ headers }, repository) {
      if (mayPull(headers.authorization, repository)) return null
      return errorAnswer(401, 'UNAUTHORIZED', { 'www-authenticate': challenge(repository) })
    },
    tokenAnswer({ path, headers: { authorization } }) {
      if (options.kind !== 'bearer') return errorAnswer(404, 'UNSUPPORTED')
      if (authorization !== undefined && !known(authorization)) {
        return errorAnswer(401, 'UNAUTHORIZED')
      }
      const { anonymous = options.users === undefined, field = 'token', expiresIn } = options
      const scopes = new URL(path, tokenUrl).searchParams.getAll('scope')
      const token = `fake-token-${++count}`
      granted.set(token, authorization !== undefined || anonymous ? scopes : [])
      const body = { [field]: token, ...(expiresIn === undefined ? {} : { expires_in: expiresIn }) }
      return {
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: Buffer.from(JSON.stringify(body)),
      }
    },
    revoke: () => granted.clear(),
  }
}
