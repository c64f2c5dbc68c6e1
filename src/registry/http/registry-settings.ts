import type { EcrSettings } from '../../aws/ecr-settings.ts'

/** Where a registry's credentials are kept, or who fetches them. */
export type CredentialSettings =
  /** A pull secret of Berth's own namespace, mounted as a directory of this name. */
  | { readonly kind: 'secret'; readonly name: string }
  /** A docker `config.json`. */
  | { readonly kind: 'dockerConfig'; readonly file: string }
  /** A token of Amazon ECR, fetched through an AWS identity and a chain of roles. */
  | EcrSettings

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
