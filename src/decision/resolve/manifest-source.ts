/**
 * What resolving needs from the outside world. The rooms `registry` and `credentials` implement these; nothing here
 * knows how a registry is spoken to.
 */

/** The ways in which a candidate can fail. Only `absent` means that the registry said: it is not here. */
export type FailedOutcome =
  /** 404: neither the tag or digest, nor perhaps the repository, is there. */
  | 'absent'
  /** 401 or 403, after the credentials that apply were tried. */
  | 'denied'
  /** 429. */
  | 'limited'
  /** No connection, no TLS, no name, or a 5xx. */
  | 'unreachable'
  /** An answer that breaks the protocol: a digest that is none, or that is not the hash of the body, or a schema 1 image. */
  | 'invalid'
  /** No answer within the budget. */
  | 'timeout'
  /** Not asked, because the registry's circuit is open. */
  | 'skipped'

/** One manifest, by tag or by digest, on one registry. */
export interface ManifestQuery {
  /** The registry as images write it, for example `anubis:32000`. */
  readonly host: string
  /** The repository on that registry, without the host. */
  readonly repository: string
  /** A tag, or a digest such as `sha256:…`. */
  readonly reference: string
}

export type ManifestAnswer =
  | {
      readonly outcome: 'found'
      readonly digest: string
      readonly mediaType: string
      readonly freshUntil?: number
    }
  | {
      readonly outcome: FailedOutcome
      readonly detail: string
      /** How long the registry asks to be left alone (RFC 9110, Retry-After). */
      readonly retryAfterMs?: number
      /** The digest that was last found, when the registry has not said since that it is gone. */
      readonly staleDigest?: string
      /** Until when a cache gives this answer again, by its clock; absent: it will ask again. */
      readonly freshUntil?: number
    }

/** A question with the credentials that will be used for it already looked up, so that the two cannot disagree. */
export interface PreparedQuery {
  /** Tells credentials apart without telling what they are: `anonymous`, or a hash. Part of every cache key. */
  readonly credentialIdentity: string
  /** Asks. Never rejects but by a bug: every way in which a registry can fail is an answer. */
  send(signal: AbortSignal): Promise<ManifestAnswer>
}

/** Where manifests are asked for. */
export interface ManifestSource {
  /** True if the configuration lists this host, or names it in a `try`: no other host is ever contacted. */
  isListed(host: string): boolean
  /** False for a registry that the configuration trusts unasked (`probe: false`). */
  isProbed(host: string): boolean
  prepare(question: ManifestQuery): Promise<PreparedQuery>
}
