/**
 * STS and ECR on loopback, as far as a token takes: the wire protocols of both, signatures, trust policies, roles' own
 * policies, external IDs, and tokens that end. Every call is logged.
 *
 *     const aws = await startFakeAws({ roles: { [a]: { trusts: [webIdentity], mayAssume: [b] }, [b]: { trusts: [a] } } })
 *     aws.behave(({ action }) => (action === 'AssumeRole' ? { error: 'Throttling' } : null))
 */
import { createHash, createHmac, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** Who may become a role: a service account's token, a role, or a user. */
export type Trust =
  | { readonly issuer: string; readonly subject: string; readonly audience: string }
  | { readonly arn: string; readonly externalId?: string }

export interface FakeRole {
  readonly trusts: readonly Trust[]
  /** ARNs that the role's own policy lets it assume. */
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
  /** OIDC issuers that the accounts know. */
  readonly issuers?: readonly string[]
  /** Repositories that there are; made ones are added. */
  readonly repositories?: Set<string>
  /** Milliseconds since 1970; the same clock as the one under test. */
  readonly now: () => number
}

export interface AwsCall {
  readonly service: 'sts' | 'ecr'
  readonly action: string
  /** The region that the request is signed for; null for one that is not signed. */
  readonly region: string | null
  /** The ARN of whoever signed; null for nobody. */
  readonly caller: string | null
  readonly roleArn: string | null
  readonly sessionName: string | null
}

/** What is to happen instead of the usual. */
export interface AwsBehaviour {
  /** An error of AWS with this code. */
  readonly error?: string
  readonly status?: number
  readonly message?: string
  /** This body, as it stands. */
  readonly body?: string
  /** True: the connection is cut. */
  readonly cut?: boolean
  /** Waits for this before it answers as usual. */
  readonly until?: Promise<void>
}

export interface FakeAws {
  readonly url: string
  readonly calls: readonly AwsCall[]
  /** The passwords that were given out, oldest first. */
  readonly passwords: readonly string[]
  /** The secrets of every session that was given out. */
  readonly secrets: readonly string[]
  /** A service account's token, as a cluster signs it; the fake believes every signature that says `signed`. */
  webToken(claims: {
    readonly issuer: string
    readonly subject: string
    readonly audience: string
    readonly livesMs?: number
  }): string
  behave(how: (call: AwsCall) => AwsBehaviour | null): void
  close(): Promise<void>
}

/** Twelve hours (ECR's documentation of GetAuthorizationToken). */
export const tokenLifeMs = 43_200_000

interface Principal extends Rights {
  /** What trust policies name: a role's or a user's own ARN. */
  readonly arn: string
  /** What GetCallerIdentity says. */
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

/** Starts both APIs on one free port. */
export async function startFakeAws(options: FakeAwsOptions): Promise<FakeAws> {
  const { roles = {}, users = {}, issuers = [], repositories = new Set(), now } = options
  const principals = new Map<string, Principal>(
    Object.entries(users).map(([keyId, user]) => [
      keyId,
      { ...user, callerArn: user.arn, sessionToken: null },
    ]),
  )
  const calls: AwsCall[] = []
  const passwords: string[] = []
  const secrets: string[] = []
  let behave: (call: AwsCall) => AwsBehaviour | null = () => null

  const server = createServer((incoming, response) => void handle(incoming, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url: path = '', headers } = incoming
    const request = { method, path, headers, body: (await buffer(incoming)).toString() }
    const service = headers['x-amz-target'] === undefined ? 'sts' : 'ecr'
    try {
      const body = await answer(request, service)
      if (body === null) incoming.socket.destroy()
      else send(response, service, { status: 200, body })
    } catch (error) {
      const { code, status, message } =
        error instanceof AwsError ? error : new AwsError('InternalFailure', String(error), 500)
      send(response, service, { status, body: errorBody(service, code, message), code })
    }
  }

  /** The body of an answer, or null for a connection that is cut; throws AwsError. */
  async function answer(request: Request, service: 'sts' | 'ecr'): Promise<string | null> {
    const form = new URLSearchParams(service === 'sts' ? request.body : '')
    const target = String(request.headers['x-amz-target'])
    const signer = verify(request, service)
    const call: AwsCall = {
      service,
      action: (service === 'ecr' ? target.split('.').pop() : form.get('Action')) ?? '',
      region: signer?.region ?? null,
      caller: signer?.principal.callerArn ?? null,
      roleArn: form.get('RoleArn'),
      sessionName: form.get('RoleSessionName'),
    }
    calls.push(call)
    const behaviour = behave(call) ?? {}
    await behaviour.until
    if (behaviour.cut === true) return null
    if (behaviour.error !== undefined) throw scripted(behaviour.error, behaviour)
    if (behaviour.body !== undefined) return behaviour.body
    const principal = signer?.principal ?? null
    if (service === 'sts') return answerSts(form, principal)
    return call.action === 'CreateRepository'
      ? makeRepository(principal, request.body)
      : answerEcr(principal)
  }

  /** Who signed the request; null for one without a signature, which only a web identity may send. */
  function verify(
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

  function answerSts(form: URLSearchParams, principal: Principal | null): string {
    const action = form.get('Action') ?? ''
    if (action === 'AssumeRoleWithWebIdentity') return assumeWithToken(form)
    if (principal === null) throw new AwsError('MissingAuthenticationToken', 'no signature')
    if (action === 'GetCallerIdentity') {
      return xml(action, `<Arn>${principal.callerArn}</Arn><UserId>U</UserId>`)
    }
    const roleArn = form.get('RoleArn') ?? ''
    const trusts = (roles[roleArn]?.trusts ?? []).filter((trust) => 'arn' in trust)
    const mayLeave = principal.mayAssume?.includes(roleArn) ?? false
    const mayEnter = trusts.some(
      ({ arn, externalId }) =>
        arn === principal.arn &&
        (externalId === undefined || externalId === form.get('ExternalId')),
    )
    if (!mayLeave || !mayEnter) {
      throw new AwsError(
        'AccessDenied',
        `User: ${principal.callerArn} is not authorized to perform: sts:AssumeRole on resource: ${roleArn}`,
      )
    }
    return session(form)
  }

  function assumeWithToken(form: URLSearchParams): string {
    const [, payload = '', mark] = (form.get('WebIdentityToken') ?? '').split('.')
    if (mark !== 'signed') throw new AwsError('InvalidIdentityToken', 'The token is no JWT.', 400)
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
    const mayEnter = (roles[form.get('RoleArn') ?? '']?.trusts ?? []).some(
      (trust) =>
        'issuer' in trust &&
        trust.issuer === iss &&
        trust.subject === sub &&
        aud.includes(trust.audience),
    )
    if (!mayEnter) {
      throw new AwsError('AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity')
    }
    return session(form)
  }

  function session(form: URLSearchParams): string {
    const arn = form.get('RoleArn') ?? ''
    const [, account = '', name = ''] = /::([0-9]+):role\/(.+)$/.exec(arn) ?? []
    const callerArn = `arn:aws:sts::${account}:assumed-role/${name}/${form.get('RoleSessionName')}`
    const keyId = `ASIA${principals.size}`
    const [secretAccessKey, sessionToken] = [`secret-${randomUUID()}`, `session-${randomUUID()}`]
    const rights: Rights = roles[arn] ?? {}
    const { mayAssume, mayGetToken, mayCreateRepositories } = rights
    principals.set(keyId, {
      arn,
      callerArn,
      secretAccessKey,
      sessionToken,
      ...(mayAssume === undefined ? {} : { mayAssume }),
      ...(mayGetToken === undefined ? {} : { mayGetToken }),
      ...(mayCreateRepositories === undefined ? {} : { mayCreateRepositories }),
    })
    secrets.push(secretAccessKey, sessionToken)
    const end = new Date(now() + 3_600_000).toISOString()
    return xml(
      form.get('Action') ?? '',
      `<Credentials><AccessKeyId>${keyId}</AccessKeyId><SecretAccessKey>${secretAccessKey}</SecretAccessKey>` +
        `<SessionToken>${sessionToken}</SessionToken><Expiration>${end}</Expiration></Credentials>` +
        `<AssumedRoleUser><Arn>${callerArn}</Arn><AssumedRoleId>A:b</AssumedRoleId></AssumedRoleUser>`,
    )
  }

  function makeRepository(principal: Principal | null, body: string): string {
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

  function answerEcr(principal: Principal | null): string {
    if (principal?.mayGetToken !== true) {
      throw new AwsError(
        'AccessDeniedException',
        `User: ${principal?.callerArn} is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action`,
        400,
      )
    }
    // As long as ECR's own, which are some 2,000 characters, and with what a split at every colon would break.
    const password = `pw:${passwords.length}:${randomUUID().repeat(50)}`
    passwords.push(password)
    const authorizationToken = Buffer.from(`AWS:${password}`).toString('base64')
    const expiresAt = (now() + tokenLifeMs) / 1000
    return JSON.stringify({ authorizationData: [{ authorizationToken, expiresAt }] })
  }

  return {
    url,
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
      behave = how
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
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
