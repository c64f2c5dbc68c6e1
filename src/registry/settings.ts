import type { CredentialSettings } from '../credentials/keychain.ts'

/** How one registry is reached and trusted: an entry of `registries`, defaults filled in. */
export interface RegistrySettings {
  /** As images write it, for example `anubis:32000`. */
  readonly host: string
  /** Where Berth reaches it: an origin, http or https, perhaps with a path prefix. */
  readonly endpoint: URL
  /** Where nodes reach it, when that is neither the endpoint nor the host's own name. */
  readonly nodeEndpoint?: URL
  readonly mirror: boolean
  /** False: taken for granted, never asked. */
  readonly probe: boolean
  /** Where the credentials for Berth's own questions are; null for anonymous. */
  readonly credentials: CredentialSettings | null
  /** PEM of a private CA that is trusted for this registry alone, beside the public ones. */
  readonly ca: string | null
  /** Other hosts that may hand out tokens for this registry. */
  readonly authHosts: readonly string[]
  /** True: credentials may travel over plain HTTP to this registry. */
  readonly allowPlainHttpAuth: boolean
}
