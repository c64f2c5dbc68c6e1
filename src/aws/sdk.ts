/**
 * Calls AWS STS and ECR: assumes roles, fetches tokens, creates repositories. Loads the AWS SDK at the first call, because it takes
 * 30 MB that a process without ECR does not need. No other file imports it.
 */
import type { ProxyRules } from '../proxy/proxy-rules.ts'
import { createProxyAgent } from './proxy-agent.ts'

/** Keys that sign requests; temporary ones have a session token. Never logged or shown. */
export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface AwsCallOptions {
  readonly region: string
  readonly endpoint: string | null
  readonly fips: boolean
  readonly dualStack: boolean
  /** Null: the SDK finds credentials in the environment (its default chain). */
  readonly keys: AwsKeys | null
  readonly proxyFor: ProxyRules
}

export interface AssumedRole {
  readonly keys: AwsKeys
  /** `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`. */
  readonly arn: string
}

interface Role {
  readonly roleArn: string
  readonly sessionName: string
}

/** A repository in the named account; null for the account of the caller. */
export interface EcrRepository {
  readonly name: string
  readonly accountId: string | null
}

/** Each call rejects with an error of the SDK or the network; `describe-aws-error.ts` describes them. */
export interface AwsApi {
  assumeRoleWithWebIdentity(
    options: AwsCallOptions,
    role: Role & { readonly token: string },
  ): Promise<AssumedRole>
  assumeRole(
    options: AwsCallOptions,
    role: Role & { readonly externalId: string | null },
  ): Promise<AssumedRole>
  /** Returns the ARN of the caller. */
  callerArn(options: AwsCallOptions): Promise<string>
  /** Both are undefined if the response has no token. */
  authorizationToken(
    options: AwsCallOptions,
  ): Promise<{ readonly token: string | undefined; readonly expiresAt: Date | undefined }>
}

export interface EcrRepositoryApi {
  /** Also succeeds if the repository exists. */
  createRepository(options: AwsCallOptions, repository: EcrRepository): Promise<void>
}

/**
 * Milliseconds for one call with its retry. STS and ECR respond within half a second from anywhere; a lost packet is sent again
 * after one second (RFC 6298).
 */
const callTimeoutMs = 8_000

/** One retry, for a closed connection or a 5xx. After more failures, the caller backs off. */
const maxAttempts = 2

/** Loads no package before the first call. */
export const awsSdk: AwsApi & EcrRepositoryApi = {
  async assumeRoleWithWebIdentity(options, { roleArn, sessionName, token }) {
    const { STSClient, AssumeRoleWithWebIdentityCommand } = await import('@aws-sdk/client-sts')
    const command = new AssumeRoleWithWebIdentityCommand({
      RoleArn: roleArn,
      RoleSessionName: sessionName,
      WebIdentityToken: token,
    })
    const sts = new STSClient(clientConfig(options))
    return assumedRole(await using(sts, () => sts.send(command, timeout())))
  },
  async assumeRole(options, { roleArn, sessionName, externalId }) {
    const { STSClient, AssumeRoleCommand } = await import('@aws-sdk/client-sts')
    const command = new AssumeRoleCommand({
      RoleArn: roleArn,
      RoleSessionName: sessionName,
      ...(externalId === null ? {} : { ExternalId: externalId }),
    })
    const sts = new STSClient(clientConfig(options))
    return assumedRole(await using(sts, () => sts.send(command, timeout())))
  },
  async callerArn(options) {
    const { STSClient, GetCallerIdentityCommand } = await import('@aws-sdk/client-sts')
    const sts = new STSClient(clientConfig(options))
    const { Arn } = await using(sts, () => sts.send(new GetCallerIdentityCommand({}), timeout()))
    return required(Arn)
  },
  async authorizationToken(options) {
    const { ECRClient, GetAuthorizationTokenCommand } = await import('@aws-sdk/client-ecr')
    // Without registryIds, which are deprecated: one token is for all accounts that the caller may pull from.
    const command = new GetAuthorizationTokenCommand({})
    const ecr = new ECRClient(clientConfig(options))
    const { authorizationData } = await using(ecr, () => ecr.send(command, timeout()))
    const [data] = authorizationData ?? []
    return { token: data?.authorizationToken, expiresAt: data?.expiresAt }
  },
  async createRepository(options, { name, accountId }) {
    const { ECRClient, CreateRepositoryCommand } = await import('@aws-sdk/client-ecr')
    const command = new CreateRepositoryCommand({
      repositoryName: name,
      ...(accountId === null ? {} : { registryId: accountId }),
    })
    const ecr = new ECRClient(clientConfig(options))
    try {
      await using(ecr, () => ecr.send(command, timeout()))
    } catch (error) {
      if ((error as Error).name !== 'RepositoryAlreadyExistsException') throw error
    }
  },
}

/** Destroys the client after one call: the next call is hours away, and connections do not last that long. */
async function using<Output>(
  client: { destroy(): void },
  call: () => Promise<Output>,
): Promise<Output> {
  try {
    return await call()
  } finally {
    client.destroy()
  }
}

function timeout(): { readonly abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(callTimeoutMs) }
}

function clientConfig({ region, endpoint, fips, dualStack, keys, proxyFor }: AwsCallOptions) {
  return {
    region,
    maxAttempts,
    // An http endpoint is on this machine, and needs no proxy.
    requestHandler: { httpsAgent: createProxyAgent(proxyFor) },
    ...(keys === null ? {} : { credentials: keys }),
    // The SDK rejects a given endpoint together with FIPS or dual stack.
    ...(endpoint === null
      ? { useFipsEndpoint: fips, useDualstackEndpoint: dualStack }
      : { endpoint }),
  }
}

interface RoleResponse {
  readonly Credentials?:
    | {
        readonly AccessKeyId: string | undefined
        readonly SecretAccessKey: string | undefined
        readonly SessionToken: string | undefined
      }
    | undefined
  readonly AssumedRoleUser?: { readonly Arn: string | undefined } | undefined
}

function assumedRole({ Credentials, AssumedRoleUser }: RoleResponse): AssumedRole {
  const { AccessKeyId, SecretAccessKey, SessionToken } = Credentials ?? {}
  return {
    keys: {
      accessKeyId: required(AccessKeyId),
      secretAccessKey: required(SecretAccessKey),
      sessionToken: required(SessionToken),
    },
    arn: required(AssumedRoleUser?.Arn),
  }
}

function required(value: string | undefined): string {
  if (value !== undefined && value !== '') return value
  throw emptyResponse('the response contains no credentials')
}

/** Returns the error for a response of AWS without the value that was requested. */
export function emptyResponse(message: string): Error {
  return Object.assign(new Error(message), { name: 'EmptyResponse' })
}
