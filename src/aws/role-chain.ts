/**
 * Fetches an ECR token through a chain of roles: service account → web identity → role → role → token. Keeps no session: sessions
 * expire within an hour, and the next token is needed in six.
 */
import { decodeAuth, type Login } from '../credentials/docker-config.ts'
import { proxyRulesFromEnvironment, proxyRulesOf, type ProxyRules } from '../proxy/proxy-rules.ts'
import {
  type AwsIdentityDependencies,
  describeIdentity,
  readAwsIdentity,
  type StartingCredentials,
} from './aws-identity.ts'
import { describeAwsError, type EcrFailure, type RoleChainStep } from './describe-aws-error.ts'
import type { EcrSettings } from './ecr-settings.ts'
import {
  type AssumedRole,
  type AwsApi,
  type AwsCallOptions,
  type AwsKeys,
  type EcrRepository,
  type EcrRepositoryApi,
  emptyResponse,
} from './sdk.ts'

/** An ECR token. Never logged or shown. */
export interface EcrToken extends Login {
  /** Milliseconds since the epoch. */
  readonly issuedAt: number
  readonly expiresAt: number
  /** The ARN that fetched it, which the policies of repositories refer to. */
  readonly caller: string
}

export type EcrTokenResult =
  | { readonly ok: true; readonly token: EcrToken }
  | { readonly ok: false; readonly failure: EcrFailure }

export interface RoleChainDependencies extends AwsIdentityDependencies {
  readonly aws: AwsApi
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Thrown by a failed step. */
class RoleChainError extends Error {
  readonly failure: EcrFailure

  constructor(failure: EcrFailure, cause: unknown) {
    super(failure.message, { cause })
    this.failure = failure
  }
}

/** Never rejects: a refresh can run without a caller that waits, so even a bug becomes a failure. */
export async function fetchEcrToken(
  dependencies: RoleChainDependencies,
  settings: EcrSettings,
): Promise<EcrTokenResult> {
  try {
    return { ok: true, token: await fetchToken(dependencies, settings) }
  } catch (error) {
    return { ok: false, failure: failureOf(error, settings) }
  }
}

/** Creates a repository with the identity at the end of the chain. Returns true also if it exists. Never rejects. */
export async function createEcrRepository(
  dependencies: RoleChainDependencies & { readonly aws: EcrRepositoryApi },
  settings: EcrSettings,
  repository: EcrRepository,
): Promise<true | EcrFailure> {
  try {
    const chain = await assumeRoles(dependencies, settings)
    await chain.run('repository', 'ecr:CreateRepository', (options) =>
      dependencies.aws.createRepository(options, repository),
    )
    return true
  } catch (error) {
    return failureOf(error, settings)
  }
}

function failureOf(error: unknown, { region }: EcrSettings): EcrFailure {
  if (error instanceof RoleChainError) return error.failure
  const code = error instanceof Error ? error.name : 'Error'
  const message = `ECR token for ${region}: a bug in Berth (${code})`
  return { step: 'token', code, message, summary: message }
}

/** The chain up to the last role that was assumed. */
class RoleChain {
  readonly #settings: EcrSettings
  readonly #proxyFor: ProxyRules
  readonly #secrets: string[] = []
  #path: readonly string[]
  #keys: AwsKeys | null = null
  /** How messages name the caller: its ARN, or the label of the identity until AWS returned one. */
  caller: string
  /** The ARN of the last role; null before the first. */
  arn: string | null = null

  constructor(settings: EcrSettings, env: AwsIdentityDependencies['env']) {
    this.#settings = settings
    this.#proxyFor = proxyRulesOf(settings.proxy, proxyRulesFromEnvironment(env))
    this.caller = describeIdentity(settings.identity)
    this.#path = []
  }

  /** Uses these credentials for the next step. */
  start(credentials: StartingCredentials): void {
    this.#path = [credentials.label]
    this.caller = credentials.label
    if (credentials.kind === 'webIdentity') this.#secrets.push(credentials.token)
    else this.#setKeys(credentials.keys)
  }

  /** Uses the keys of a role for the next step. */
  enter(roleArn: string, { keys, arn }: AssumedRole): void {
    this.#path = [...this.#path, roleName(roleArn)]
    this.caller = arn
    this.arn = arn
    this.#setKeys(keys)
  }

  /** Calls AWS. Throws RoleChainError with the path up to this step. */
  async run<Output>(
    step: RoleChainStep,
    name: string,
    call: (options: AwsCallOptions) => Promise<Output>,
  ): Promise<Output> {
    try {
      return await call(this.callOptions(step === 'token' || step === 'repository' ? 'ecr' : 'sts'))
    } catch (error) {
      // Without any credentials, the SDK fails at the first call, whatever its step.
      const isMissing = (error as Error | undefined)?.name === 'CredentialsProviderError'
      const failed = {
        step: isMissing ? ('identity' as const) : step,
        path: [...this.#path, name],
        caller: this.caller,
        region: this.#settings.region,
        secrets: this.#secrets,
      }
      throw new RoleChainError(describeAwsError(error, failed), error)
    }
  }

  callOptions(api: 'sts' | 'ecr'): AwsCallOptions {
    const { region, fips, dualStack, endpoints } = this.#settings
    const [endpoint, keys, proxyFor] = [endpoints[api], this.#keys, this.#proxyFor]
    return { region, endpoint, fips, dualStack, keys, proxyFor }
  }

  #setKeys(keys: AwsKeys | null): void {
    this.#keys = keys
    if (keys !== null) this.#secrets.push(keys.secretAccessKey, keys.sessionToken ?? '')
  }
}

function roleName(roleArn: string): string {
  return `role ${roleArn}`
}

/** Reads the identity, and assumes the roles of the chain one after the other. */
async function assumeRoles(
  { aws, ...dependencies }: RoleChainDependencies,
  settings: EcrSettings,
): Promise<RoleChain> {
  const chain = new RoleChain(settings, dependencies.env)
  const start = await chain.run('identity', describeIdentity(settings.identity), () =>
    readAwsIdentity(settings.identity, dependencies),
  )
  chain.start(start)
  if (start.kind === 'webIdentity') {
    const { roleArn, token } = start
    const sessionName = start.sessionName ?? settings.sessionName
    const role = await chain.run('web-identity', roleName(roleArn), (options) =>
      aws.assumeRoleWithWebIdentity(options, { roleArn, token, sessionName }),
    )
    chain.enter(roleArn, role)
  }
  const { sessionName } = settings
  for (const { roleArn, externalId } of settings.chain) {
    const role = await chain.run('role', roleName(roleArn), (options) =>
      aws.assumeRole(options, { roleArn, sessionName, externalId }),
    )
    chain.enter(roleArn, role)
  }
  return chain
}

async function fetchToken(
  dependencies: RoleChainDependencies,
  settings: EcrSettings,
): Promise<EcrToken> {
  const { aws, now } = dependencies
  const chain = await assumeRoles(dependencies, settings)
  const issued = await chain.run('token', 'ecr:GetAuthorizationToken', async (options) => {
    const { token, expiresAt } = await aws.authorizationToken(options)
    const login = decodeAuth(token ?? '')
    if (typeof login === 'string' || login.password === '') {
      throw emptyResponse('the response contains no usable token')
    }
    return { ...login, expiresAt }
  })
  const issuedAt = now()
  const expiresAt = issued.expiresAt?.getTime() ?? NaN
  return {
    username: issued.username,
    password: issued.password,
    issuedAt,
    // Without an expiry, the token is fetched again after the shortest delay.
    expiresAt: Number.isFinite(expiresAt) ? expiresAt : issuedAt,
    caller: chain.arn ?? (await callerOf(chain, aws)),
  }
}

/** Asks AWS for the ARN of keys that assumed no role, which needs no permission. A failure does not affect the token. */
async function callerOf(chain: RoleChain, aws: AwsApi): Promise<string> {
  try {
    return await aws.callerArn(chain.callOptions('sts'))
  } catch {
    return chain.caller
  }
}
