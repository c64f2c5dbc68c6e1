/**
 * From an identity through a chain of roles to a token of ECR: service account → web identity → role → role → token.
 * Nothing is kept of the sessions in between: they end within an hour, and the next token is wanted in six.
 */
import type {
  AssumedRole,
  AwsApi,
  AwsCallOptions,
  AwsKeys,
  EcrRepository,
  EcrRepositoryApi,
} from './sdk.ts'
import { describeAwsError, type EcrFailure, type RoleChainStep } from './describe-aws-error.ts'
import {
  describeIdentity,
  type AwsIdentityDependencies,
  readAwsIdentity,
  type StartingCredentials,
} from './aws-identity.ts'
import type { EcrSettings } from './ecr-settings.ts'
import { decodeAuth, type Login } from '../credentials/docker-config.ts'

/** What ECR gave. Never logged, never part of a message. */
export interface EcrToken extends Login {
  /** Milliseconds since 1970. */
  readonly issuedAt: number
  readonly expiresAt: number
  /** The ARN that asked for it: repository policies are written about this one. */
  readonly caller: string
}

export type EcrTokenResult =
  | { readonly ok: true; readonly token: EcrToken }
  | { readonly ok: false; readonly failure: EcrFailure }

export interface RoleChainDependencies extends AwsIdentityDependencies {
  readonly aws: AwsApi
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** How far the walk has come. */
interface Position {
  readonly keys: AwsKeys | null
  /** The ARN of `keys`; null while only AWS knows it. */
  readonly arn: string | null
  readonly path: readonly string[]
}

/** A link that broke, on its way to `fetchToken`, which makes a value of it. */
class Broken extends Error {
  readonly failure: EcrFailure

  constructor(failure: EcrFailure, cause: unknown) {
    super(failure.message, { cause })
    this.failure = failure
  }
}

/** Walks the chain. Never rejects: a broken link is a value, and so is a bug, because nobody may be waiting. */
export async function fetchEcrToken(
  dependencies: RoleChainDependencies,
  settings: EcrSettings,
): Promise<EcrTokenResult> {
  try {
    return { ok: true, token: await takeToken(dependencies, settings) }
  } catch (error) {
    return { ok: false, failure: failureOf(error, settings) }
  }
}

/** Walks the chain, and makes a repository at its end. True also where there is one already; else what broke. Never rejects. */
export async function createEcrRepository(
  dependencies: RoleChainDependencies & { readonly aws: EcrRepositoryApi },
  settings: EcrSettings,
  repository: EcrRepository,
): Promise<true | EcrFailure> {
  try {
    const { link, position, start, callerWith } = await walk(dependencies, settings)
    const path = [...position.path, 'ecr:CreateRepository']
    await link('repository', path, position.arn ?? start.label, () =>
      dependencies.aws.createRepository(callerWith(position.keys, 'ecr'), repository),
    )
    return true
  } catch (error) {
    return failureOf(error, settings)
  }
}

function failureOf(error: unknown, { region }: EcrSettings): EcrFailure {
  if (error instanceof Broken) return error.failure
  const code = error instanceof Error ? error.name : 'Error'
  const message = `ECR token for ${region}: a bug of Berth (${code})`
  return { step: 'token', code, message, summary: message }
}

/** The end of a chain. */
interface Reached {
  readonly position: Position
  readonly start: StartingCredentials
  readonly callerWith: (keys: AwsKeys | null, api: 'sts' | 'ecr') => AwsCallOptions
  /** Runs one link; an error becomes the chain up to here, and what mends it. */
  readonly link: <Answer>(
    kind: RoleChainStep,
    path: readonly string[],
    caller: string,
    call: () => Promise<Answer>,
  ) => Promise<Answer>
}

async function walk(
  { aws, ...dependencies }: RoleChainDependencies,
  settings: EcrSettings,
): Promise<Reached> {
  const secrets: string[] = []
  const region = settings.region
  const callerWith = (keys: AwsKeys | null, api: 'sts' | 'ecr'): AwsCallOptions => {
    const { fips, dualStack, endpoints } = settings
    return { region, endpoint: endpoints[api], fips, dualStack, keys }
  }
  const link = async <Answer>(
    kind: RoleChainStep,
    path: readonly string[],
    caller: string,
    call: () => Promise<Answer>,
  ): Promise<Answer> => {
    try {
      return await call()
    } catch (error) {
      // Without any credentials the SDK fails before the first call, whichever that is.
      const isMissing = (error as Error | undefined)?.name === 'CredentialsProviderError'
      const broken = {
        step: isMissing ? ('identity' as const) : kind,
        path,
        caller,
        region,
        secrets,
      }
      throw new Broken(describeAwsError(error, broken), error)
    }
  }
  const take = (position: Position, name: string, { keys, arn }: AssumedRole): Position => {
    secrets.push(...secretsOf(keys))
    return { keys, arn, path: [...position.path, name] }
  }

  const named = describeIdentity(settings.identity)
  const start = await link('identity', [named], named, () =>
    readAwsIdentity(settings.identity, dependencies),
  )
  let position: Position = { keys: null, arn: null, path: [start.label] }
  if (start.kind === 'webIdentity') {
    secrets.push(start.token)
    const name = `role ${start.roleArn}`
    const { roleArn, token } = start
    const sessionName = start.sessionName ?? settings.sessionName
    const role = await link('web-identity', [...position.path, name], start.label, () =>
      aws.assumeRoleWithWebIdentity(callerWith(null, 'sts'), { roleArn, token, sessionName }),
    )
    position = take(position, name, role)
  } else {
    secrets.push(...secretsOf(start.keys))
    position = { ...position, keys: start.keys }
  }
  for (const { roleArn, externalId } of settings.chain) {
    const { keys, path, arn } = position
    const name = `role ${roleArn}`
    const { sessionName } = settings
    const role = await link('role', [...path, name], arn ?? start.label, () =>
      aws.assumeRole(callerWith(keys, 'sts'), { roleArn, sessionName, externalId }),
    )
    position = take(position, name, role)
  }
  return { position, start, callerWith, link }
}

async function takeToken(
  dependencies: RoleChainDependencies,
  settings: EcrSettings,
): Promise<EcrToken> {
  const { aws, now } = dependencies
  const { position, start, callerWith, link } = await walk(dependencies, settings)
  const { keys, path } = position
  const end = [...path, 'ecr:GetAuthorizationToken']
  const answer = await link('token', end, position.arn ?? start.label, async () => {
    const { token, expiresAt } = await aws.authorizationToken(callerWith(keys, 'ecr'))
    const pair = decodeAuth(token ?? '')
    if (typeof pair === 'string' || pair.password === '') throw emptyAnswer()
    return { ...pair, expiresAt }
  })
  const issuedAt = now()
  const expiresAt = answer.expiresAt?.getTime() ?? NaN
  return {
    username: answer.username,
    password: answer.password,
    issuedAt,
    // Not known: fetched again after the least time there is.
    expiresAt: Number.isFinite(expiresAt) ? expiresAt : issuedAt,
    caller: position.arn ?? (await callerOf(start, aws, callerWith(keys, 'sts'))),
  }
}

/** Keys that assumed no role: AWS says whose they are, to anybody and without any right. A token does not fail for it. */
async function callerOf(
  start: StartingCredentials,
  aws: AwsApi,
  caller: AwsCallOptions,
): Promise<string> {
  try {
    return await aws.callerArn(caller)
  } catch {
    return start.label
  }
}

function secretsOf(keys: AwsKeys | null): string[] {
  return keys === null ? [] : [keys.secretAccessKey, keys.sessionToken ?? '']
}

function emptyAnswer(): Error {
  return Object.assign(new Error('the answer has no usable token in it'), { name: 'EmptyAnswer' })
}
