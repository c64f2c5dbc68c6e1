/** Where a chain of roles begins: keys, or a service account's token, read anew each time because both rotate. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AwsKeys } from './sdk.ts'
import type { AwsIdentity } from './ecr-settings.ts'

export type StartingCredentials =
  | { readonly kind: 'keys'; readonly label: string; readonly keys: AwsKeys | null }
  | {
      readonly kind: 'webIdentity'
      readonly label: string
      readonly token: string
      readonly roleArn: string
      /** What the environment calls the session; null where the configuration decides. */
      readonly sessionName: string | null
    }

export interface AwsIdentityDependencies {
  readonly secretsDirectory: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** How an identity is called before anything of it has been read. */
export function describeIdentity(identity: AwsIdentity): string {
  if (identity.kind === 'webIdentity') return `web identity (${identity.tokenFile})`
  if (identity.kind === 'staticKeys') return `keys of secret ${identity.secret}`
  return 'identity of the environment'
}

/** Reads it. Rejects with an error whose message names the file and holds nothing of what is in it. */
export async function readAwsIdentity(
  identity: AwsIdentity,
  { secretsDirectory, env }: AwsIdentityDependencies,
): Promise<StartingCredentials> {
  if (identity.kind === 'staticKeys') return readKeys(identity.secret, secretsDirectory)
  if (identity.kind === 'webIdentity') {
    return readWebIdentity(identity.tokenFile, identity.roleArn, null)
  }
  // What EKS and OpenShift's pod identity webhooks put into the pod of an annotated service account. Keys that are
  // set beside it come first, as in every SDK of AWS.
  const { AWS_WEB_IDENTITY_TOKEN_FILE: file, AWS_ROLE_ARN: role, AWS_ACCESS_KEY_ID: keyId } = env
  if (file !== undefined && role !== undefined && keyId === undefined) {
    return readWebIdentity(file, role, env['AWS_ROLE_SESSION_NAME'] ?? null)
  }
  return { kind: 'keys', label: describeIdentity(identity), keys: null }
}

async function readWebIdentity(
  file: string,
  roleArn: string,
  sessionName: string | null,
): Promise<StartingCredentials> {
  const token = await readText(file)
  return { kind: 'webIdentity', label: describeToken(token, file), token, roleArn, sessionName }
}

async function readKeys(secret: string, secretsDirectory: string): Promise<StartingCredentials> {
  const directory = join(secretsDirectory, secret)
  const [accessKeyId, secretAccessKey] = await Promise.all([
    readText(join(directory, 'AWS_ACCESS_KEY_ID')),
    readText(join(directory, 'AWS_SECRET_ACCESS_KEY')),
  ])
  const sessionToken = await readText(join(directory, 'AWS_SESSION_TOKEN')).catch(() => null)
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

async function readText(file: string): Promise<string> {
  let text: string
  try {
    text = (await readFile(file, 'utf8')).trim()
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException
    throw unusable(`${file} cannot be read (${code})`)
  }
  if (text === '') throw unusable(`${file} is empty`)
  return text
}

function unusable(message: string): Error {
  return Object.assign(new Error(message), { name: 'Unusable' })
}

/**
 * Who a token says it is: its `sub` and `aud`, which trust policies are written about, and its `iss`. They are claims and no
 * secret; the signature, which makes it one, is left out. A token that cannot be read is called by its file.
 */
function describeToken(token: string, file: string): string {
  const claims = claimsOf(token)
  const [issuer, subject] = [claims['iss'], claims['sub']].map(plain)
  const audiences = [claims['aud']]
    .flat()
    .map(plain)
    .filter((each) => each !== '')
  if (subject === undefined || subject === '') return `web identity (${file})`
  const of = issuer === undefined || issuer === '' ? '' : ` of ${issuer}`
  const audience = audiences.length === 0 ? '' : ` for ${audiences.join(', ')}`
  return `web identity ${subject}${of}${audience}`
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

/** A claim that looks like a name; anything else is not shown. */
function plain(value: unknown): string {
  return typeof value === 'string' && /^[\w:/.@+=~-]{1,200}$/.test(value) ? value : ''
}
