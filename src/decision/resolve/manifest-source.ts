/** The interface through which images are probed. `registry/manifests/manifest-source.ts` implements it. */

/** Why a probe did not find the image. Only `absent` means that the registry does not have it. */
export type FailedOutcome =
  /** 404: the tag, the digest or the repository does not exist. */
  | 'absent'
  /** 401 or 403, with the credentials that apply. */
  | 'denied'
  /** 429. */
  | 'limited'
  /** No connection, a TLS or DNS error, or a 5xx. */
  | 'unreachable'
  /** The answer breaks the protocol: a malformed digest, one that does not match the body, or a schema 1 image. */
  | 'invalid'
  /** No answer within the time budget. */
  | 'timeout'
  /** Not asked, because the circuit breaker of the registry is open. */
  | 'skipped'

/** One manifest on one registry, by tag or by digest. */
export interface ManifestQuery {
  /** The registry as images write it, for example `anubis:32000`. */
  readonly host: string
  /** The repository without the host. */
  readonly repository: string
  /** A tag, or a digest such as `sha256:…`. */
  readonly reference: string
  /** The namespace of the pod. It limits what its pods can use up; the registry does not receive it. */
  readonly namespace: string
}

export type ManifestAnswer =
  | {
      readonly outcome: 'found'
      readonly digest: string
      readonly mediaType: string
      /** When a cached answer expires, in milliseconds of the cache's clock; undefined if it is not cached. */
      readonly freshUntil?: number
    }
  | {
      readonly outcome: FailedOutcome
      readonly detail: string
      /** How long the registry asks clients to wait (RFC 9110, Retry-After). */
      readonly retryAfterMs?: number
      /** True if no connection to the registry could be opened, so that the failure does not depend on the image. */
      readonly hasNoConnection?: boolean
      /** The digest that was found last, unless the registry has since said that it is gone. */
      readonly staleDigest?: string
      /** When a cached answer expires, in milliseconds of the cache's clock; undefined if it is not cached. */
      readonly freshUntil?: number
    }

/** A query bound to its credentials, so that the cache key and the request use the same ones. */
export interface PreparedQuery {
  /** Distinguishes credentials without revealing them: `anonymous`, or a hash. Part of the cache key. */
  readonly credentialIdentity: string
  /** Sends the query. Every failure of a registry is an answer; only bugs reject. */
  send(signal: AbortSignal): Promise<ManifestAnswer>
}

export interface ManifestSource {
  /** Returns true if the config lists this host or names it in a `try`. Berth does not contact any other host. */
  isListed(host: string): boolean
  /** Returns false for a registry with `probe: false`. */
  isProbed(host: string): boolean
  /** Looks up the credentials for a query. */
  prepare(query: ManifestQuery): Promise<PreparedQuery>
}
