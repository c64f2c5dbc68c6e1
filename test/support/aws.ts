/**
 * Fake AWS STS and ECR APIs on loopback: their wire protocols, signatures, trust policies, role policies, external IDs, and
 * tokens that expire. Every call is logged.
 *
 *     const aws = await startFakeAws({ roles: { [a]: { trusts: [webIdentity], mayAssume: [b] }, [b]: { trusts: [a] } } })
 *     aws.behave(({ action }) => (action === 'AssumeRole' ? { error: 'Throttling' } : null))
 */
import { createHash, createHmac, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** Who may assume a role: a service account, a role, or a user. */
export type Trust =
  | { readonly issuer: string; readonly subject: string; readonly audience: string }
  | { readonly arn: string; readonly externalId?: string }

export interface FakeRole {
  readonly trusts: readonly Trust[]
  /** The ARNs that the policy of the role allows it to assume. */
  readonly mayAssume?: readonly string[]
  readonly mayGetToken?: boolean
  readonly mayCreateRepositories?: boolean
}

type Rights = Pick<FakeRole, 'mayAssume' | 'mayGetToken' | 'mayCreateRepositories'>

export interface FakeUser extends Rights {
  readonly arn: string
  readonly secretAccessKey: string
}

export interface FakeAwsOptions {
  readonly roles?: Readonly<Record<string, FakeRole>>
  /** By access key ID. */
  readonly users?: Readonly<Record<string, FakeUser>>
  /** OIDC issuers with a provider in the accounts. */
  readonly issuers?: readonly string[]
  /** Existing repositories; new ones are added. */
  readonly repositories?: Set<string>
  /** Milliseconds since the epoch; the clock of the code under test. */
  readonly now: () => number
}

export interface AwsCall {
  readonly service: 'sts' | 'ecr'
  readonly action: string
  /** The region of the signature; null for an unsigned request. */
  readonly region: string | null
  /** The ARN of the signer; null for an unsigned request. */
  readonly caller: string | null
  readonly roleArn: string | null
  readonly sessionName: string | null
}

/** How AWS fails one call. */
export interface AwsBehaviour {
  /** Responds with an AWS error with this code. */
  readonly error?: string
  readonly status?: number
  readonly message?: string
  /** Responds with this body. */
  readonly body?: string
  /** True: closes the connection. */
  readonly cut?: boolean
}

export interface FakeAws {
  readonly url: string
  readonly calls: readonly AwsCall[]
  /** The passwords of all tokens so far, oldest first. */
  readonly passwords: readonly string[]
  /** The secrets of all sessions so far. */
  readonly secrets: readonly string[]
  /** Returns a service account token. The fake accepts the signature `signed`. */
  webToken(claims: {
    readonly issuer: string
    readonly subject: string
    readonly audience: string
    readonly livesMs?: number
  }): string
  behave(how: (call: AwsCall) => AwsBehaviour | null): void
  close(): Promise<void>
}

/** 12 hours (ECR API reference, GetAuthorizationToken). */
export const tokenLifeMs = 43_200_000

interface Principal extends Rights {
  /** The ARN of the role or user, which trust policies name. */
  readonly arn: string
  /** The ARN that GetCallerIdentity returns. */
  readonly callerArn: string
  readonly secretAccessKey: string
  readonly sessionToken: string | null
}

class AwsError extends Error {
  readonly code: string
  readonly status: number

  constructor(code: string, message: string, status = 403) {
    super(message)
    this.code = code
    this.status = status
  }
}

interface Request {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

interface State {
  readonly roles: Readonly<Record<string, FakeRole>>
  readonly issuers: readonly string[]
  readonly repositories: Set<string>
  readonly now: () => number
  /** By access key ID. */
  readonly principals: Map<string, Principal>
  readonly calls: AwsCall[]
  readonly passwords: string[]
  readonly secrets: string[]
  behave: (call: AwsCall) => AwsBehaviour | null
}

/** Starts both APIs on one free port. */
export async function startFakeAws(options: FakeAwsOptions): Promise<FakeAws> {
  const { roles = {}, users = {}, issuers = [], repositories = new Set(), now } = options
  const userPrincipals = Object.entries(users).map(([keyId, user]): [string, Principal] => [
    keyId,
    { ...user, callerArn: user.arn, sessionToken: null },
  ])
  const state: State = {
    roles,
    issuers,
    repositories,
    now,
    principals: new Map(userPrincipals),
    calls: [],
    passwords: [],
    secrets: [],
    behave: () => null,
  }
  const server = createServer((incoming, response) => void handle(state, incoming, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { calls, passwords, secrets } = state
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    passwords,
    secrets,
    webToken({ issuer, subject, audience, livesMs = 3_600_000 }) {
      const claims = {
        iss: issuer,
        sub: subject,
        aud: [audience],
        exp: Math.floor((now() + livesMs) / 1000),
      }
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
      return [part({ alg: 'RS256' }), part(claims), 'signed'].join('.')
    },
    behave(how) {
      state.behave = how
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function handle(
  state: State,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = '', url: path = '', headers } = incoming
  const request = { method, path, headers, body: (await buffer(incoming)).toString() }
  const service = headers['x-amz-target'] === undefined ? 'sts' : 'ecr'
  try {
    const body = answer(state, request, service)
    if (body === null) incoming.socket.destroy()
    else send(response, service, { status: 200, body })
  } catch (error) {
    const { code, status, message } =
      error instanceof AwsError ? error : new AwsError('InternalFailure', String(error), 500)
    send(response, service, { status, body: errorBody(service, code, message), code })
  }
}

/** Returns the body of the response, or null to close the connection. Throws AwsError. */
function answer(state: State, request: Request, service: 'sts' | 'ecr'): string | null {
  const form = new URLSearchParams(service === 'sts' ? request.body : '')
  const target = String(request.headers['x-amz-target'])
  const signer = verifySignature(state, request, service)
  const call: AwsCall = {
    service,
    action: (service === 'ecr' ? target.split('.').pop() : form.get('Action')) ?? '',
    region: signer?.region ?? null,
    caller: signer?.principal.callerArn ?? null,
    roleArn: form.get('RoleArn'),
    sessionName: form.get('RoleSessionName'),
  }
  state.calls.push(call)
  const behaviour = state.behave(call) ?? {}
  if (behaviour.cut === true) return null
  if (behaviour.error !== undefined) throw scripted(behaviour.error, behaviour)
  if (behaviour.body !== undefined) return behaviour.body
  const principal = signer?.principal ?? null
  if (service === 'sts') return answerSts(state, form, principal)
  return call.action === 'CreateRepository'
    ? createRepository(state, principal, request.body)
    : getAuthorizationToken(state, principal)
}

/** Returns the signer of a request; null for an unsigned one, which only a web identity may send. */
function verifySignature(
  { principals }: State,
  request: Request,
  service: string,
): { principal: Principal; region: string } | null {
  const { authorization } = request.headers
  if (authorization === undefined) return null
  const [, keyId = '', date = '', region = '', scope = ''] =
    /Credential=([^/]+)\/([^/]+)\/([^/]+)\/([^/]+)\/aws4_request/.exec(authorization) ?? []
  const principal = principals.get(keyId)
  if (principal === undefined) {
    const code = service === 'ecr' ? 'UnrecognizedClientException' : 'InvalidClientTokenId'
    throw new AwsError(code, 'The security token included in the request is invalid.')
  }
  if ((request.headers['x-amz-security-token'] ?? null) !== principal.sessionToken) {
    throw new AwsError('InvalidClientTokenId', 'The session token is not that of these keys.')
  }
  if (scope !== service) throw new AwsError('SignatureDoesNotMatch', `signed for ${scope}`)
  if (!authorization.endsWith(signature(request, principal, { date, region, service }))) {
    throw new AwsError('SignatureDoesNotMatch', 'The request signature we calculated differs.')
  }
  return { principal, region }
}

function answerSts(state: State, form: URLSearchParams, principal: Principal | null): string {
  const action = form.get('Action') ?? ''
  if (action === 'AssumeRoleWithWebIdentity') return assumeRoleWithWebIdentity(state, form)
  if (principal === null) throw new AwsError('MissingAuthenticationToken', 'no signature')
  if (action === 'GetCallerIdentity') {
    return xml(action, `<Arn>${principal.callerArn}</Arn><UserId>U</UserId>`)
  }
  return assumeRole(state, form, principal)
}

function assumeRole(state: State, form: URLSearchParams, principal: Principal): string {
  const roleArn = form.get('RoleArn') ?? ''
  const trusts = (state.roles[roleArn]?.trusts ?? []).filter((trust) => 'arn' in trust)
  const isTrusted = trusts.some(
    ({ arn, externalId }) =>
      arn === principal.arn && (externalId === undefined || externalId === form.get('ExternalId')),
  )
  if (principal.mayAssume?.includes(roleArn) !== true || !isTrusted) {
    throw new AwsError(
      'AccessDenied',
      `User: ${principal.callerArn} is not authorized to perform: sts:AssumeRole on resource: ${roleArn}`,
    )
  }
  return createSession(state, form)
}

function assumeRoleWithWebIdentity(state: State, form: URLSearchParams): string {
  const { roles, issuers, now } = state
  const [, payload = '', mark] = (form.get('WebIdentityToken') ?? '').split('.')
  if (mark !== 'signed') throw new AwsError('InvalidIdentityToken', 'The token is not a JWT.', 400)
  const { iss, sub, aud, exp } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as {
    iss: string
    sub: string
    aud: string[]
    exp: number
  }
  if (!issuers.includes(iss)) {
    throw new AwsError(
      'InvalidIdentityToken',
      'No OpenIDConnect provider found in your account for the issuer',
      400,
    )
  }
  if (exp * 1000 <= now()) {
    throw new AwsError('ExpiredTokenException', `Token expired: current date/time ${now()}`, 400)
  }
  const isTrusted = (roles[form.get('RoleArn') ?? '']?.trusts ?? []).some(
    (trust) =>
      'issuer' in trust &&
      trust.issuer === iss &&
      trust.subject === sub &&
      aud.includes(trust.audience),
  )
  if (!isTrusted) {
    throw new AwsError('AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity')
  }
  return createSession(state, form)
}

function createSession({ roles, principals, secrets, now }: State, form: URLSearchParams): string {
  const arn = form.get('RoleArn') ?? ''
  const [, account = '', name = ''] = /::([0-9]+):role\/(.+)$/.exec(arn) ?? []
  const callerArn = `arn:aws:sts::${account}:assumed-role/${name}/${form.get('RoleSessionName')}`
  const keyId = `ASIA${principals.size}`
  const [secretAccessKey, sessionToken] = [`secret-${randomUUID()}`, `session-${randomUUID()}`]
  const { trusts: _, ...rights }: FakeRole = roles[arn] ?? { trusts: [] }
  principals.set(keyId, { ...rights, arn, callerArn, secretAccessKey, sessionToken })
  secrets.push(secretAccessKey, sessionToken)
  const expiration = new Date(now() + 3_600_000).toISOString()
  return xml(
    form.get('Action') ?? '',
    `<Credentials><AccessKeyId>${keyId}</AccessKeyId><SecretAccessKey>${secretAccessKey}</SecretAccessKey>` +
      `<SessionToken>${sessionToken}</SessionToken><Expiration>${expiration}</Expiration></Credentials>` +
      `<AssumedRoleUser><Arn>${callerArn}</Arn><AssumedRoleId>A:b</AssumedRoleId></AssumedRoleUser>`,
  )
}

function createRepository(
  { repositories }: State,
  principal: Principal | null,
  body: string,
): string {
  const { repositoryName = '' } = JSON.parse(body) as { readonly repositoryName?: string }
  if (principal?.mayCreateRepositories !== true) {
    throw new AwsError(
      'AccessDeniedException',
      `User: ${principal?.callerArn} is not authorized to perform: ecr:CreateRepository on resource: ${repositoryName}`,
      400,
    )
  }
  if (repositories.has(repositoryName)) {
    throw new AwsError('RepositoryAlreadyExistsException', 'it already exists', 400)
  }
  repositories.add(repositoryName)
  return JSON.stringify({ repository: { repositoryName } })
}

function getAuthorizationToken({ passwords, now }: State, principal: Principal | null): string {
  if (principal?.mayGetToken !== true) {
    throw new AwsError(
      'AccessDeniedException',
      `User: ${principal?.callerArn} is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action`,
      400,
    )
  }
  // As long as a real one, about 2,000 characters, and with colons.
  const password = `pw:${passwords.length}:${randomUUID().repeat(50)}`
  passwords.push(password)
  const authorizationToken = Buffer.from(`AWS:${password}`).toString('base64')
  const expiresAt = (now() + tokenLifeMs) / 1000
  return JSON.stringify({ authorizationData: [{ authorizationToken, expiresAt }] })
}

function scripted(error: string, { status = 400, message }: AwsBehaviour): AwsError {
  return new AwsError(error, message ?? `${error} was scripted`, status)
}

/** AWS Signature Version 4 (docs.aws.amazon.com, "Create a signed AWS API request"). */
function signature(
  { method, path, headers, body }: Request,
  { secretAccessKey }: Principal,
  { date, region, service }: { date: string; region: string; service: string },
): string {
  const [, names = ''] = /SignedHeaders=([^,]+)/.exec(headers.authorization ?? '') ?? []
  const hash = (text: string) => createHash('sha256').update(text).digest('hex')
  const hmac = (key: string | Buffer, text: string) =>
    createHmac('sha256', key).update(text).digest()
  const canonical = [
    method,
    path,
    '',
    ...names.split(';').map((name) => `${name}:${String(headers[name]).trim()}`),
    '',
    names,
    hash(body),
  ].join('\n')
  const scope = `${date}/${region}/${service}/aws4_request`
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, hash(canonical)].join('\n')
  const key = [date, region, service, 'aws4_request'].reduce<string | Buffer>(
    hmac,
    `AWS4${secretAccessKey}`,
  )
  return `Signature=${hmac(key, text).toString('hex')}`
}

function xml(action: string, result: string): string {
  return (
    `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result>${result}</${action}Result>` +
    `<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></${action}Response>`
  )
}

function errorBody(service: string, code: string, message: string): string {
  return service === 'ecr'
    ? JSON.stringify({ __type: code, message })
    : `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code>` +
        `<Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`
}

function send(
  response: ServerResponse,
  service: string,
  { status, body, code }: { status: number; body: string; code?: string },
): void {
  response.writeHead(status, {
    'content-type': service === 'ecr' ? 'application/x-amz-json-1.1' : 'text/xml',
    ...(code === undefined ? {} : { 'x-amzn-errortype': code }),
  })
  response.end(body)
}
