/** One repository of one registry, for reading or for writing: the door through which copying sends everything. */
import type { Readable } from 'node:stream'
import { credentialIdentity } from '../credentials/credential-identity.ts'
import type { Credential } from '../credentials/keychain.ts'
import { BerthError } from '../errors.ts'
import { apiUrl, type RegistryConnection, type Connections } from './connections.ts'
import { failed } from './http/network-error.ts'
import { RegistryError } from './http/registry-error.ts'
import { type Clock, createRetryPolicy, type RetryPolicy } from './http/retry-policy.ts'
import { createSession, type SessionRequest } from './auth/session.ts'
import { describeStatus, errorCode, failureForStatus } from './http/status.ts'
import type { HttpResponse, SendResult, TransportRequest } from './http/transport.ts'

export type RepositoryAccess = 'pull' | 'pull,push'

export interface RepositoryRequest {
  readonly method: TransportRequest['method']
  /** Below the repository, such as `blobs/uploads/`, or where an earlier answer led to. */
  readonly target: string | URL
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly body?: Buffer | Readable
  readonly asStream?: boolean
  readonly maxBodyBytes?: number
  readonly headersTimeoutMs?: number
  /** Another repository of the same registry, from which a blob is to be mounted. */
  readonly mountFrom?: string
  readonly signal: AbortSignal
}

export interface Repository {
  readonly host: string
  readonly name: string
  readonly state: RegistryState
  readonly retryPolicy: RetryPolicy
  readonly now: () => number
  /** Tries again where that may help. Throws RegistryError when there is no answer. */
  send(request: RepositoryRequest): Promise<HttpResponse>
  /** Once, as it is: for what cannot simply be sent again. */
  sendOnce(request: RepositoryRequest): Promise<SendResult>
}

/** What has been learnt about a registry during a run, so that nothing is tried in vain twice. */
export interface RegistryState {
  /** False once it refused to mount. */
  canMount: boolean
  /** True once it refused an upload in one piece. */
  needsChunks: boolean
  /** Null until it was asked for the referrers of anything. */
  hasReferrersApi: boolean | null
  /** `ratelimit-remaining` as last said; null for a registry that counts nothing. */
  pullsRemaining: number | null
}

export interface RegistryClient {
  /** Throws RegistryError when the host is not known or its credentials cannot be read. */
  open(host: string, name: string, access: RepositoryAccess): Promise<Repository>
  close(): Promise<void>
}

/** Error bodies, lists of tags and the like: what 1,000 tags of 128 characters need, ten times over. */
const defaultBodyBytes = 2 * 1024 * 1024

/** Repositories over these connections. What is learnt about a registry lives as long as this does. */
export function createRegistryClient(connections: Connections, clock: Clock): RegistryClient {
  const states = new Map<
    string,
    { readonly state: RegistryState; readonly retryPolicy: RetryPolicy }
  >()

  const stateOf = (host: string) => {
    const known = states.get(host)
    if (known !== undefined) return known
    const state = {
      canMount: true,
      needsChunks: false,
      hasReferrersApi: null,
      pullsRemaining: null,
    }
    const made = { state, retryPolicy: createRetryPolicy(clock) }
    states.set(host, made)
    return made
  }

  return {
    close: () => connections.close(),
    async open(host, name, access) {
      const registry = connections.get(host)
      if (registry === undefined) {
        throw new RegistryError(failed('invalid', `${host} is not listed under registries`))
      }
      const { state, retryPolicy } = stateOf(host)
      const raw = senderFor(registry, { name, access, credentials: await lookUp(registry, name) })
      const sendOnce = async (request: RepositoryRequest): Promise<SendResult> => {
        const sent = await raw(request)
        if (sent.ok) state.pullsRemaining = remainingOf(sent.response) ?? state.pullsRemaining
        return sent
      }
      const send = async (request: RepositoryRequest): Promise<HttpResponse> => {
        const sent = await retryPolicy.send(() => sendOnce(request), request.signal)
        if (sent.ok) return sent.response
        request.signal.throwIfAborted()
        throw new RegistryError(sent.failure)
      }
      return { host, name, state, retryPolicy, now: clock.now, send, sendOnce }
    },
  }
}

/** The fault that an answer with an unwanted status is. */
export function registryErrorFor(
  repository: Repository,
  response: HttpResponse,
  doing: string,
): RegistryError {
  const { outcome } = failureForStatus(response, repository.now)
  const { host } = repository
  const detail = `${describeStatus(response, repository.now)} from ${host} ${doing}`
  return new RegistryError(
    { outcome, detail },
    { status: response.status, code: errorCode(response.body) },
  )
}

async function lookUp(registry: RegistryConnection, name: string): Promise<readonly Credential[]> {
  try {
    return await registry.keychain.lookup(registry.settings.host, name)
  } catch (error) {
    if (error instanceof BerthError) throw new RegistryError(failed('denied', error.message))
    throw error
  }
}

interface RepositoryOptions {
  readonly name: string
  readonly access: RepositoryAccess
  readonly credentials: readonly Credential[]
}

function senderFor(
  registry: RegistryConnection,
  { name, access, credentials }: RepositoryOptions,
): (request: RepositoryRequest) => Promise<SendResult> {
  const identity = credentialIdentity(credentials)
  const sessions = new Map<string, ReturnType<typeof createSession>>()

  const sessionFor = (from = '') => {
    const known = sessions.get(from)
    if (known !== undefined) return known
    const own = `repository:${name}:${access}`
    const scopes = from === '' ? [own] : [own, `repository:${from}:pull`]
    const made = createSession(registry, { repository: name, credentials, identity, scopes })
    sessions.set(from, made)
    return made
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
        ? apiUrl(registry.settings.endpoint, `${name}/${target}`)
        : new URL(target)
    for (const [key, value] of Object.entries(query)) url.searchParams.append(key, value)
    const request: SessionRequest = { ...rest, url, headers, maxBodyBytes, keepAlive: true }
    return sessionFor(mountFrom)(request)
  }
}

/** `ratelimit-remaining: 98;w=21600`, as Docker Hub says it (docs.docker.com, pull rate limits). */
function remainingOf({ header }: HttpResponse): number | null {
  const [, digits] = /^([0-9]{1,9})(?:;|$)/.exec(header('ratelimit-remaining')[0] ?? '') ?? []
  return digits === undefined ? null : Number(digits)
}
