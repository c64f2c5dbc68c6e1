/**
 * The calls to AWS that a token of ECR takes, and the one that makes a repository. The only importer of the AWS SDK, and only when a call is made: it takes
 * 30 MB, which a process without ECR does not spend.
 */

/** Keys that sign requests, for a short time when a session token belongs to them. Never logged, never part of a message. */
export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** Where a call goes, and who makes it. */
export interface AwsCallOptions {
  readonly region: string
  readonly endpoint: string | null
  readonly fips: boolean
  readonly dualStack: boolean
  /** Null: whoever the environment says (the SDK's default chain). */
  readonly keys: AwsKeys | null
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

/** A repository that is to be made, in the caller's own account unless another one is named. */
export interface EcrRepository {
  readonly name: string
  readonly accountId: string | null
}

/** What AWS is asked. Each call rejects with the SDK's error, or with one of the network; `aws-failure.ts` reads them. */
export interface AwsApi {
  assumeRoleWithWebIdentity(
    caller: AwsCallOptions,
    role: Role & { readonly token: string },
  ): Promise<AssumedRole>
  assumeRole(
    caller: AwsCallOptions,
    role: Role & { readonly externalId: string | null },
  ): Promise<AssumedRole>
  callerArn(caller: AwsCallOptions): Promise<string>
  /** Both are undefined when the answer has none. */
  authorizationToken(
    caller: AwsCallOptions,
  ): Promise<{ readonly token: string | undefined; readonly expiresAt: Date | undefined }>
}

export interface EcrRepositoryApi {
  /** One that is there already is as good. */
  createRepository(caller: AwsCallOptions, repository: EcrRepository): Promise<void>
}

/**
 * Milliseconds for one call, its repetitions included. STS and ECR answer within half a second from anywhere; a dropped
 * packet takes a second to be sent again (RFC 6298).
 */
const callMs = 8_000

/** One repetition, for a connection that was cut or a 5xx; what fails twice is left to the backoff of whoever asked. */
const maxAttempts = 2

/** AWS by its SDK. Nothing is loaded until the first call. */
export const awsSdk: AwsApi & EcrRepositoryApi = {
  async assumeRoleWithWebIdentity(caller, { roleArn, sessionName, token }) {
    const { STSClient, AssumeRoleWithWebIdentityCommand } = await import('@aws-sdk/client-sts')
    const command = new AssumeRoleWithWebIdentityCommand({
      RoleArn: roleArn,
      RoleSessionName: sessionName,
      WebIdentityToken: token,
    })
    return assumed(
      await using(new STSClient(optionsFor(caller)), (sts) => sts.send(command, time())),
    )
  },
  async assumeRole(caller, { roleArn, sessionName, externalId }) {
    const { STSClient, AssumeRoleCommand } = await import('@aws-sdk/client-sts')
    const command = new AssumeRoleCommand({
      RoleArn: roleArn,
      RoleSessionName: sessionName,
      ...(externalId === null ? {} : { ExternalId: externalId }),
    })
    return assumed(
      await using(new STSClient(optionsFor(caller)), (sts) => sts.send(command, time())),
    )
  },
  async callerArn(caller) {
    const { STSClient, GetCallerIdentityCommand } = await import('@aws-sdk/client-sts')
    const command = new GetCallerIdentityCommand({})
    const { Arn } = await using(new STSClient(optionsFor(caller)), (sts) =>
      sts.send(command, time()),
    )
    return required(Arn)
  },
  async authorizationToken(caller) {
    const { ECRClient, GetAuthorizationTokenCommand } = await import('@aws-sdk/client-ecr')
    // No registryIds: they are deprecated, and one token serves every account that the caller may pull from.
    const command = new GetAuthorizationTokenCommand({})
    const answer = await using(new ECRClient(optionsFor(caller)), (ecr) =>
      ecr.send(command, time()),
    )
    const [data] = answer.authorizationData ?? []
    return { token: data?.authorizationToken, expiresAt: data?.expiresAt }
  },
  async createRepository(caller, { name, accountId }) {
    const { ECRClient, CreateRepositoryCommand } = await import('@aws-sdk/client-ecr')
    const command = new CreateRepositoryCommand({
      repositoryName: name,
      ...(accountId === null ? {} : { registryId: accountId }),
    })
    try {
      await using(new ECRClient(optionsFor(caller)), (ecr) => ecr.send(command, time()))
    } catch (error) {
      if ((error as Error).name !== 'RepositoryAlreadyExistsException') throw error
    }
  },
}

/** A client lives for one call: the next one is hours away, and its connections would not be there any more. */
async function using<Client extends { destroy(): void }, Answer>(
  client: Client,
  call: (client: Client) => Promise<Answer>,
): Promise<Answer> {
  try {
    return await call(client)
  } finally {
    client.destroy()
  }
}

function time(): { readonly abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(callMs) }
}

function optionsFor({ region, endpoint, fips, dualStack, keys }: AwsCallOptions) {
  return {
    region,
    maxAttempts,
    ...(keys === null ? {} : { credentials: keys }),
    // An address that is given is taken as it is; the SDK refuses to make a FIPS or dual-stack one of it.
    ...(endpoint === null
      ? { useFipsEndpoint: fips, useDualstackEndpoint: dualStack }
      : { endpoint }),
  }
}

interface RoleAnswer {
  readonly Credentials?:
    | {
        readonly AccessKeyId: string | undefined
        readonly SecretAccessKey: string | undefined
        readonly SessionToken: string | undefined
      }
    | undefined
  readonly AssumedRoleUser?: { readonly Arn: string | undefined } | undefined
}

function assumed(answer: RoleAnswer): AssumedRole {
  const { AccessKeyId, SecretAccessKey, SessionToken } = answer.Credentials ?? {}
  return {
    keys: {
      accessKeyId: required(AccessKeyId),
      secretAccessKey: required(SecretAccessKey),
      sessionToken: required(SessionToken),
    },
    arn: required(answer.AssumedRoleUser?.Arn),
  }
}

function required(value: string | undefined): string {
  if (value !== undefined && value !== '') return value
  throw Object.assign(new Error('the answer has no credentials in it'), { name: 'EmptyAnswer' })
}
