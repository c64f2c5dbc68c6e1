/**
 * A fake OCI registry in this process, on loopback. Tests can make it fail. Every request is logged.
 *
 *     const registry = await startFakeRegistry()
 *     const digest = registry.addManifest({ repository: 'team/app', tag: '1' })
 *     registry.behave(({ method }) => (method === 'HEAD' ? { status: 405 } : null))
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TlsOptions } from 'node:tls'
import { createFakeAuth, type FakeAuth, type FakeAuthOptions } from './registry-auth.ts'
import {
  type Behaviour,
  errorAnswer,
  type LoggedRequest,
  misbehave,
  type NormalAnswer,
} from './registry-behaviour.ts'

export interface FakeRegistryOptions {
  /** A certificate, and options such as `requestCert`. */
  readonly tls?: TlsOptions
  readonly auth?: FakeAuthOptions
  /** A prefix of `/v2/` in every path. */
  readonly prefix?: string
  readonly behave?: (request: LoggedRequest) => Behaviour | null
}

interface FakeManifest {
  readonly repository: string
  readonly tag?: string
  readonly body?: string | Buffer
  readonly mediaType?: string
}

export interface FakeRegistry {
  /** The host as images contain it: `127.0.0.1:PORT`. */
  readonly host: string
  readonly url: string
  /** The host of the token server; equal to `host` unless it is a separate server. */
  readonly tokenHost: string
  readonly requests: readonly LoggedRequest[]
  /** Adds a manifest under its digest and, if given, a tag. Returns the digest. */
  addManifest(manifest: FakeManifest): string
  /** Sets the failures of later requests. The function returns null for the usual response. */
  behave(how: (request: LoggedRequest) => Behaviour | null): void
  /** Revokes all tokens. */
  revokeTokens(): void
  close(): Promise<void>
}

export const indexType = 'application/vnd.oci.image.index.v1+json'
export const manifestType = 'application/vnd.oci.image.manifest.v1+json'
export const dockerListType = 'application/vnd.docker.distribution.manifest.list.v2+json'
export const dockerManifestType = 'application/vnd.docker.distribution.manifest.v2+json'

/** The digest of these bytes. */
export function digestOf(body: string | Buffer, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(body).digest('hex')}`
}

interface Stored {
  readonly body: Buffer
  readonly mediaType: string
  readonly digest: string
}

/** Starts the registry on a free port. */
export async function startFakeRegistry(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const { tls, prefix = '' } = options
  const stored = new Map<string, Stored>()
  const requests: LoggedRequest[] = []
  let behave = options.behave ?? (() => null)

  const listen = async (server: 'registry' | 'token'): Promise<[Server, string]> => {
    const handle = (request: IncomingMessage, response: ServerResponse) => {
      const { method = '', url: path = '', headers } = request
      const isToken = server === 'token' || (!separate && path.startsWith('/token'))
      const logged: LoggedRequest = {
        server: isToken ? 'token' : 'registry',
        method,
        path,
        headers,
      }
      requests.push(logged)
      misbehave(response, logged, behave(logged) ?? {}, () => answer(logged))
    }
    const http = tls === undefined ? createServer(handle) : createTlsServer(tls, handle)
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    return [http, `127.0.0.1:${(http.address() as AddressInfo).port}`]
  }

  const separate = options.auth?.kind === 'bearer' && options.auth.separate === true
  const scheme = tls === undefined ? 'http' : 'https'
  const [main, host] = await listen('registry')
  const [side, tokenHost] = separate ? await listen('token') : [null, host]
  const auth: FakeAuth = createFakeAuth(
    options.auth ?? { kind: 'none' },
    `${scheme}://${tokenHost}`,
  )

  function answer(request: LoggedRequest): NormalAnswer {
    if (request.server === 'token') return auth.tokenAnswer(request)
    const match = /^\/v2\/(.+)\/manifests\/([^/?]+)(?:\?|$)/.exec(request.path.slice(prefix.length))
    if (!request.path.startsWith(prefix) || match === null) return errorAnswer(404, 'NAME_UNKNOWN')
    const [, repository = '', reference = ''] = match
    const refused = auth.refusal(request, repository)
    if (refused !== null) return refused
    const manifest = stored.get(`${repository}@${decodeURIComponent(reference)}`)
    if (manifest === undefined) return errorAnswer(404, 'MANIFEST_UNKNOWN')
    return {
      status: 200,
      headers: {
        'content-type': manifest.mediaType,
        'content-length': String(manifest.body.length),
        'docker-content-digest': manifest.digest,
      },
      body: manifest.body,
    }
  }

  return {
    host,
    url: `${scheme}://${host}${prefix}`,
    tokenHost,
    requests,
    addManifest({ repository, tag, mediaType = manifestType, body = emptyManifest(mediaType) }) {
      const bytes = Buffer.from(body)
      const manifest = { body: bytes, mediaType, digest: digestOf(bytes) }
      stored.set(`${repository}@${manifest.digest}`, manifest)
      stored.set(`${repository}@${digestOf(bytes, 'sha512')}`, manifest)
      if (tag !== undefined) stored.set(`${repository}@${tag}`, manifest)
      return manifest.digest
    },
    behave(how) {
      behave = how
    },
    revokeTokens: () => auth.revoke(),
    async close() {
      await Promise.all([stop(main), side === null ? Promise.resolve() : stop(side)])
    },
  }
}

/** A minimal manifest or index of this type. */
export function emptyManifest(mediaType: string): string {
  const isIndex = mediaType === indexType || mediaType === dockerListType
  return JSON.stringify({
    schemaVersion: 2,
    mediaType,
    ...(isIndex ? { manifests: [] } : { layers: [] }),
  })
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
