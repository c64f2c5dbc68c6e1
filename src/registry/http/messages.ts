/** Requests to registries and their responses, as a transport sends and returns them. */
import type { Readable } from 'node:stream'
import type { ProxyServer } from '../../proxy/proxy-rules.ts'
import type { RequestFailure } from './network-error.ts'
import type { BodyConsumer, HeaderReader } from './response-body.ts'

export interface TransportRequest {
  readonly method: 'HEAD' | 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** A stream is sent once, needs a `content-length` header, and does not follow redirects. */
  readonly body?: Buffer | Readable
  /** True: the body of a 2xx is returned as `stream`, of any length. The caller must read or destroy it. */
  readonly asStream?: boolean
  /** Milliseconds until the response headers arrive. Writes can take a registry longer than reads. */
  readonly headersTimeoutMs?: number
  /** Largest body of a 200. Bodies of other statuses have a fixed limit. */
  readonly maxBodyBytes: number
  /** Receives the body of a 200 in pieces, instead of the caller. */
  readonly consumer?: BodyConsumer
  readonly maxRedirects: number
  readonly signal: AbortSignal
}

export interface HttpResponse {
  readonly status: number
  readonly header: HeaderReader
  /**
   * Null if the body was too large, if a consumer stopped it, or if it had a content coding (the request accepts none). Empty if
   * a consumer received it.
   */
  readonly body: Buffer | null
  /** The body if `asStream` was set and it has no content coding. */
  readonly stream: Readable | null
  readonly hasContentCoding: boolean
  /** False after a redirect to another origin: the response is not from the registry itself. */
  readonly isFromRegistry: boolean
  readonly url: URL
  /** The proxy that the response came through; null for a direct connection. */
  readonly proxy: ProxyServer | null
}

export type SendResult =
  | { readonly ok: true; readonly response: HttpResponse }
  | { readonly ok: false; readonly failure: RequestFailure }

/** The current URL of a request that follows redirects. */
export type Hop = Pick<HttpResponse, 'url' | 'isFromRegistry' | 'proxy'>
