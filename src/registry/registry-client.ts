/** Opens repositories for reading and writing. Retries requests, and remembers what each registry supports. */
import type { Readable } from 'node:stream'
import { credentialIdentity } from '../credentials/credential-identity.ts'
import type { Credential } from '../credentials/keychain.ts'
import { BerthError } from '../errors.ts'
import { createSession, type SessionRequest } from './auth/session.ts'
import type { Connections, HeadSupport, RegistryConnection } from './connections.ts'
import { failed } from './http/network-error.ts'
import { RegistryError } from './http/registry-error.ts'
import { type Clock, createRetryPolicy, type RetryPolicy } from './http/retry-policy.ts'
import { describeStatus, errorCode, failureForStatus } from './http/status.ts'
import type { BodyConsumer } from './http/response-body.ts'
import type { HttpResponse, SendResult, TransportRequest } from './http/messages.ts'
import { apiUrl } from './http/urls.ts'

/** `catalog`: the list of the repositories of a registry, whose name is then empty. */
export type RepositoryAccess = 'pull' | 'pull,push' | 'pull,delete' | 'catalog'

export interface RepositoryRequest {
  readonly method: TransportRequest['method']
  /** A path below the repository, such as `blobs/uploads/`, or a URL from an earlier response. */
  readonly target: string | URL
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly body?: Buffer | Readable
  readonly asStream?: boolean
  readonly maxBodyBytes?: number
  readonly consumer?: BodyConsumer
  readonly headersTimeoutMs?: number
  /** A status after which `send` does not retry, although it usually does. */
  readonly finalStatus?: number
  /** The repository of the same registry from which a blob is mounted. The token then also allows pulling from it. */
  readonly mountFrom?: string
  readonly signal: AbortSignal
}

export interface Repository {
  readonly host: string
  readonly name: string
  readonly endpoint: URL
  readonly headSupport: HeadSupport
  readonly state: RegistryState
  readonly retryPolicy: RetryPolicy
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Sends with retries. Throws RegistryError without a response. */
  send(request: RepositoryRequest): Promise<HttpResponse>
  /** Sends once, for requests that cannot simply be repeated. */
  sendOnce(request: RepositoryRequest): Promise<SendResult>
}

/** What this process has learned about a registry, so that it does not repeat requests that cannot work. */
export interface RegistryState {
  /** False after the registry refused to mount a blob. */
  canMount: boolean
  /** The largest part of a blob that the registry accepts in one request; null for a whole blob. */
  maxChunkBytes: number | null
  /** Null before the first request for referrers. */
  hasReferrersApi: boolean | null
  /** The last `ratelimit-remaining`; null for a registry that sends none. */
  pullsRemaining: number | null
}

export interface RegistryClient {
  /** Throws RegistryError if the host is not in the config or its credentials cannot be read. */
  open(host: string, name: string, access: RepositoryAccess): Promise<Repository>
  close(): Promise<void>
}

/** Registries send no body, or a short one, except for the requests that set a limit themselves. */
const defaultBodyBytes = 64 * 1024

/** Creates a client that remembers what it learns about each registry as long as the client lives. */
export function createRegistryClient(connections: Connections, clock: Clock): RegistryClient {
  const registries = new Map<string, Pick<Repository, 'state' | 'retryPolicy'>>()

  const registryOf = (host: string) => {
    const known = registries.get(host)
    if (known !== undefined) return known
    const state: RegistryState = {
      canMount: true,
      maxChunkBytes: null,
      hasReferrersApi: null,
      pullsRemaining: null,
    }
    const registry = { state, retryPolicy: createRetryPolicy(clock) }
    registries.set(host, registry)
    return registry
  }

  return {
    close: () => connections.close(),
    async open(host, name, access) {
      const connection = connections.get(host)
      if (connection === undefined) {
        throw new RegistryError(failed('invalid', `${host} is not listed under registries`))
      }
      const { state, retryPolicy } = registryOf(connection.settings.host)
      const credentials = await lookUpCredentials(connection, name)
      const sender = createSender(connection, { name, access, credentials })
      const sendOnce = async (request: RepositoryRequest): Promise<SendResult> => {
        const sent = await sender(request)
        if (sent.ok) state.pullsRemaining = pullsRemaining(sent.response) ?? state.pullsRemaining
        return sent
      }
      const send = async (request: RepositoryRequest): Promise<HttpResponse> => {
        const { signal, finalStatus } = request
        const sent = await retryPolicy.send(() => sendOnce(request), signal, finalStatus)
        if (sent.ok) return sent.response
        request.signal.throwIfAborted()
        throw new RegistryError(sent.failure)
      }
      const { headSupport, settings } = connection
      const { endpoint } = settings
      return {
        host,
        name,
        endpoint,
        headSupport,
        state,
        retryPolicy,
        now: clock.now,
        send,
        sendOnce,
      }
    },
  }
}

/** Returns the error for a response with an unexpected status. `subject` is what was requested: `blob sha256:…`. */
export function registryErrorFor(
  { host, now }: Repository,
  response: HttpResponse,
  subject: string,
): RegistryError {
  const { outcome } = failureForStatus(response, now)
  const detail = `${describeStatus(response, now)} from ${host} for ${subject}`
  return new RegistryError(
    { outcome, detail },
    { status: response.status, code: errorCode(response.body) },
  )
}

async function lookUpCredentials(
  { keychain, settings }: RegistryConnection,
  name: string,
): Promise<readonly Credential[]> {
  try {
    return await keychain.lookup(settings.host, name)
  } catch (error) {
    if (error instanceof BerthError) throw new RegistryError(failed('denied', error.message))
    throw error
  }
}

interface SenderOptions {
  readonly name: string
  readonly access: RepositoryAccess
  readonly credentials: readonly Credential[]
}

/** Returns a function that sends requests to one repository, with a session for each set of token scopes. */
function createSender(
  connection: RegistryConnection,
  { name, access, credentials }: SenderOptions,
): (request: RepositoryRequest) => Promise<SendResult> {
  const identity = credentialIdentity(credentials)
  const sessions = new Map<string, ReturnType<typeof createSession>>()

  const sessionFor = (mountFrom = '') => {
    const known = sessions.get(mountFrom)
    if (known !== undefined) return known
    const scope = access === 'catalog' ? 'registry:catalog:*' : `repository:${name}:${access}`
    const scopes = mountFrom === '' ? [scope] : [scope, `repository:${mountFrom}:pull`]
    const session = createSession(connection, { repository: name, credentials, identity, scopes })
    sessions.set(mountFrom, session)
    return session
  }

  return ({
    target,
    query = {},
    mountFrom,
    headers = {},
    maxBodyBytes = defaultBodyBytes,
    ...rest
  }) => {
    const url =
      typeof target === 'string'
        ? apiUrl(connection.settings.endpoint, `${name}/${target}`)
        : new URL(target)
    for (const [key, value] of Object.entries(query)) url.searchParams.append(key, value)
    const request: SessionRequest = { ...rest, url, headers, maxBodyBytes }
    return sessionFor(mountFrom)(request)
  }
}

/** `ratelimit-remaining: 98;w=21600` (docs.docker.com, pull rate limits). */
function pullsRemaining({ header }: HttpResponse): number | null {
  const [, digits] = /^([0-9]{1,9})(?:;|$)/.exec(header('ratelimit-remaining')[0] ?? '') ?? []
  return digits === undefined ? null : Number(digits)
}
