/** A user and password for a registry. Never logged or shown; messages show `source`. */
export interface Credential {
  readonly username: string
  readonly password: string
  /** A refresh token (OAuth 2.0), which is used in place of the user and password. Only token servers accept it. */
  readonly identityToken?: string
  /** Where the credential comes from, for messages: `secret ghcr-creds, key ghcr.io`. */
  readonly source: string
}

/** Looks up the credentials for a repository. */
export interface Keychain {
  /** Returns the credentials in the order in which they are tried; none for an anonymous request. */
  lookup(host: string, repository: string): Promise<readonly Credential[]>
}
