/** A user and password for a registry. Never logged, never part of a message: `source` is what people are told. */
export interface Credential {
  readonly username: string
  readonly password: string
  /** Where it came from, for messages: for example `secret ghcr-creds, key ghcr.io`. */
  readonly source: string
}

/** Who am I, to this repository? Candidates in the order in which they are tried; none means anonymous. */
export interface Keychain {
  lookup(host: string, repository: string): Promise<readonly Credential[]>
}
