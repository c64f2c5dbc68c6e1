/** One repository of one registry, for reading or for writing: the door through which copying sends everything. */
import type { Readable } from 'node:stream'
import { credentialIdentity } from '../credentials/credential-identity.ts'
import type { Credential } from '../credentials/keychain.ts'
import { BerthError } from '../errors.ts'
import { apiUrl, type Connected, type Connections } from './http/connections.ts'
import { failed } from './http/network-error.ts'
import { RegistryError } from './http/registry-error.ts'
import { type Clock, createRetryPolicy, type RetryPolicy } from './http/retry-policy.ts'
import { createSession, type SessionRequest } from './auth/session.ts'
import { describeStatus, errorCode, failureForStatus } from './http/status.ts'
import type { Reply, Sent, TransportRequest } from './http/transport.ts'

export type Access = 'pull' | 'pull,push'

export interface RepositoryRequest {
  readonly method: TransportRequest['method']
  /** Below the repository, such as `blobs/uploads/`, or where an earlier answer led to. */
  readonly to: string | URL
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly body?: Buffer | Readable
  readonly wantsStream?: boolean
  readonly maxBodyBytes?: number
  readonly silenceMs?: number
  /** Another repository of the same registry, from which a blob is to be mounted. */
  readonly from?: string
  readonly signal: AbortSignal
}

export interface Repository {
  readonly host: string
  readonly name: string
  readonly memo: RegistryMemo
  readonly patience: RetryPolicy
  readonly now: () => number
  /** Tries again where that may help. Throws RegistryFault when there is no answer. */
  send(request: RepositoryRequest): Promise<Reply>
  /** Once, as it is: for what cannot simply be sent again. */
  sendOnce(request: RepositoryRequest): Promise<Sent>
}

/** What has been learnt about a registry during a run, so that nothing is tried in vain twice. */
export interface RegistryMemo {
  /** False once it refused to mount. */
  mounts: boolean
  /** True once it refused an upload in one piece. */
  wantsChunks: boolean
  /** Null until it was asked for the referrers of anything. */
  hasReferrers: boolean | null
  /** `ratelimit-remaining` as last said; null for a registry that counts nothing. */
  remaining: number | null
}

export interface Registries {
  /** Throws RegistryFault when the host is not known or its credentials cannot be read. */
  open(host: string, name: string, access: Access): Promise<Repository>
  close(): Promise<void>
}

/** Error bodies, lists of tags and the like: what 1,000 tags of 128 characters need, ten times over. */
const defaultBodyBytes = 2 * 1024 * 1024

/** Repositories over these connections. What is learnt about a registry lives as long as this does. */
export function createRegistries(connections: Connections, clock: Clock): Registries {
  const states = new Map<string, { readonly memo: RegistryMemo; readonly patience: RetryPolicy }>()

  const stateOf = (host: string) => {
    const known = states.get(host)
    if (known !== undefined) return known
    const memo = { mounts: true, wantsChunks: false, hasReferrers: null, remaining: null }
    const made = { memo, patience: createRetryPolicy(clock) }
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
      const { memo, patience } = stateOf(host)
      const raw = senderFor(registry, { name, access, credentials: await lookUp(registry, name) })
      const sendOnce = async (request: RepositoryRequest): Promise<Sent> => {
        const sent = await raw(request)
        if (sent.ok) memo.remaining = remainingOf(sent.reply) ?? memo.remaining
        return sent
      }
      const send = async (request: RepositoryRequest): Promise<Reply> => {
        const sent = await patience.send(() => sendOnce(request), request.signal)
        if (sent.ok) return sent.reply
        request.signal.throwIfAborted()
        throw new RegistryError(sent.answer)
      }
      return { host, name, memo, patience, now: clock.now, send, sendOnce }
    },
  }
}

/** The fault that an answer with an unwanted status is. */
export function registryErrorOf(
  repository: Repository,
  reply: Reply,
  doing: string,
): RegistryError {
  const { outcome } = failureForStatus(reply, repository.now)
  const { host } = repository
  const detail = `${describeStatus(reply, repository.now)} from ${host} ${doing}`
  return new RegistryError(
    { outcome, detail },
    { status: reply.status, code: errorCode(reply.body) },
  )
}

async function lookUp(registry: Connected, name: string): Promise<readonly Credential[]> {
  try {
    return await registry.keychain.lookup(registry.settings.host, name)
  } catch (error) {
    if (error instanceof BerthError) throw new RegistryError(failed('denied', error.message))
    throw error
  }
}

interface Caller {
  readonly name: string
  readonly access: Access
  readonly credentials: readonly Credential[]
}

function senderFor(
  registry: Connected,
  { name, access, credentials }: Caller,
): (request: RepositoryRequest) => Promise<Sent> {
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

  return ({ to, query = {}, from, headers = {}, maxBodyBytes = defaultBodyBytes, ...rest }) => {
    const url =
      typeof to === 'string' ? apiUrl(registry.settings.endpoint, `${name}/${to}`) : new URL(to)
    for (const [key, value] of Object.entries(query)) url.searchParams.append(key, value)
    const request: SessionRequest = { ...rest, url, headers, maxBodyBytes, keepsConnection: true }
    return sessionFor(from)(request)
  }
}

/** `ratelimit-remaining: 98;w=21600`, as Docker Hub says it (docs.docker.com, pull rate limits). */
function remainingOf({ header }: Reply): number | null {
  const [, digits] = /^([0-9]{1,9})(?:;|$)/.exec(header('ratelimit-remaining')[0] ?? '') ?? []
  return digits === undefined ? null : Number(digits)
}
