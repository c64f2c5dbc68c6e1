/** A user and password for a registry. Never logged or shown; messages show `source`. */
export interface Credential {
  readonly username: string
  readonly password: string
  /** Where the credential comes from, for messages: `secret ghcr-creds, key ghcr.io`. */
  readonly source: string
}

/** Looks up the credentials for a repository. */
export interface Keychain {
  /** Returns the credentials in the order in which they are tried; none for an anonymous request. */
  lookup(host: string, repository: string): Promise<readonly Credential[]>
}
