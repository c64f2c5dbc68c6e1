/** Reads the AWS identity that a chain of roles starts from: keys, or a service account token. Both rotate, so every read is new. */
import { join } from 'node:path'
import type { AwsIdentity } from './ecr-settings.ts'
import type { AwsKeys } from './sdk.ts'
import { describeFileError } from '../files/describe-file-error.ts'
import { readRegularFile } from '../files/read-limited.ts'

/** `label` is how messages name the identity. */
export type StartingCredentials =
  | { readonly kind: 'keys'; readonly label: string; readonly keys: AwsKeys | null }
  | {
      readonly kind: 'webIdentity'
      readonly label: string
      readonly token: string
      readonly roleArn: string
      /** The session name in the environment; null to use that of the config. */
      readonly sessionName: string | null
    }

/** The maximum size of a Secret (core/v1, MaxSecretSize). */
const maxBytes = 1024 ** 2

export interface AwsIdentityDependencies {
  readonly secretsDirectory: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Returns how messages name an identity that has not been read. */
export function describeIdentity(identity: AwsIdentity): string {
  if (identity.kind === 'webIdentity') return `web identity (${identity.tokenFile})`
  if (identity.kind === 'staticKeys') return `keys of secret ${identity.secret}`
  return 'identity of the environment'
}

/** Reads an identity. Throws an error whose message names the file and contains nothing of its content. */
export async function readAwsIdentity(
  identity: AwsIdentity,
  { secretsDirectory, env }: AwsIdentityDependencies,
): Promise<StartingCredentials> {
  if (identity.kind === 'staticKeys') return readKeys(identity.secret, secretsDirectory)
  if (identity.kind === 'webIdentity') {
    return readWebIdentity(identity.tokenFile, identity.roleArn, null)
  }
  // The pod identity webhooks of EKS and OpenShift set these for an annotated service account. As in every AWS SDK, keys in the
  // environment take precedence.
  const { AWS_WEB_IDENTITY_TOKEN_FILE: file, AWS_ROLE_ARN: role, AWS_ACCESS_KEY_ID: keyId } = env
  if (file !== undefined && role !== undefined && keyId === undefined) {
    return readWebIdentity(file, role, env['AWS_ROLE_SESSION_NAME'] ?? null)
  }
  return { kind: 'keys', label: describeIdentity(identity), keys: null }
}

function readWebIdentity(
  file: string,
  roleArn: string,
  sessionName: string | null,
): StartingCredentials {
  const token = readText(file)
  return { kind: 'webIdentity', label: describeToken(token, file), token, roleArn, sessionName }
}

function readKeys(secret: string, secretsDirectory: string): StartingCredentials {
  const directory = join(secretsDirectory, secret)
  const accessKeyId = readText(join(directory, 'AWS_ACCESS_KEY_ID'))
  const secretAccessKey = readText(join(directory, 'AWS_SECRET_ACCESS_KEY'))
  const sessionToken = readOptional(join(directory, 'AWS_SESSION_TOKEN'))
  return {
    kind: 'keys',
    label: describeIdentity({ kind: 'staticKeys', secret }),
    keys: {
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === null ? {} : { sessionToken }),
    },
  }
}

/** Returns null if the file is missing or cannot be used. */
function readOptional(file: string): string | null {
  try {
    return readText(file)
  } catch {
    return null
  }
}

function readText(file: string): string {
  let text: string
  try {
    text = readRegularFile(file, maxBytes).toString('utf8').trim()
  } catch (error) {
    throw invalidFile(`${file} cannot be read: ${describeFileError(error)}`)
  }
  if (text === '') throw invalidFile(`${file} is empty`)
  return text
}

function invalidFile(message: string): Error {
  return Object.assign(new Error(message), { name: 'InvalidFile' })
}

/**
 * Names a token by its `sub`, `aud` and `iss`, which trust policies refer to. These claims are not secret; the signature, which
 * makes the token secret, is omitted. Names a token that cannot be parsed by its file.
 */
function describeToken(token: string, file: string): string {
  const claims = claimsOf(token)
  const [issuer, subject] = [claims['iss'], claims['sub']].map(nameOnly)
  const audiences = [claims['aud']]
    .flat()
    .map(nameOnly)
    .filter((each) => each !== '')
  if (subject === undefined || subject === '') return `web identity (${file})`
  const from = issuer === undefined || issuer === '' ? '' : ` of ${issuer}`
  const audience = audiences.length === 0 ? '' : ` for ${audiences.join(', ')}`
  return `web identity ${subject}${from}${audience}`
}

function claimsOf(token: string): Readonly<Record<string, unknown>> {
  try {
    const [, payload = ''] = token.split('.')
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** Returns a claim that looks like a name or URL, and an empty text for any other one. */
function nameOnly(claim: unknown): string {
  return typeof claim === 'string' && /^[\w:/.@+=~-]{1,200}$/.test(claim) ? claim : ''
}
