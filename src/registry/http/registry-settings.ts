/** The settings of a registry, and their defaults. */
import type { EcrSettings } from '../../aws/ecr-settings.ts'
import type { ProxySetting } from '../../proxy/proxy-rules.ts'
import { apiHost } from '../../decision/fallback/registry-aliases.ts'

/** Where the credentials of a registry come from. */
export type CredentialSettings =
  /** A pull secret in Berth's own namespace, mounted as a directory of this name. */
  | { readonly kind: 'secret'; readonly name: string }
  /** A docker `config.json`. */
  | { readonly kind: 'dockerConfig'; readonly file: string }
  /** A token of Amazon ECR, fetched with an AWS identity and a chain of roles. */
  | EcrSettings

/** Where the client certificate of a registry comes from. */
export type ClientCertificateSettings =
  /** A Secret of the type kubernetes.io/tls in Berth's own namespace, mounted as a directory of this name. */
  | { readonly kind: 'secret'; readonly name: string }
  | { readonly kind: 'files'; readonly cert: string; readonly key: string }

/** How Berth reaches and trusts one registry: an entry of `registries` with its defaults. */
export interface RegistrySettings {
  /** As images write it, for example `anubis:32000`. */
  readonly host: string
  /** Where Berth reaches it: http or https, with an optional path prefix. */
  readonly endpoint: URL
  /** Where nodes reach it, if that is neither the endpoint nor the host. */
  readonly nodeEndpoint?: URL
  /** True for a registry of the operator's own. */
  readonly mirror: boolean
  /** False: a mirror that Berth never pushes to, such as a pull-through cache. Undefined for true. */
  readonly copy?: boolean
  /** False: Berth assumes that it has every image. */
  readonly probe: boolean
  /** Berth takes an image of this registry only if it has all these platforms. */
  readonly platforms: readonly string[]
  /** The credentials for Berth's own requests; null for anonymous. */
  readonly credentials: CredentialSettings | null
  /** PEM of a private CA, trusted for this registry only, in addition to the public CAs. */
  readonly ca: string | null
  /** Other hosts that may issue tokens for this registry. */
  readonly authHosts: readonly string[]
  /** Whether credentials may be sent to it over plain HTTP. */
  readonly allowPlainHttpAuth: boolean
  /** The proxy for all requests of this registry. Undefined for the one of the environment. */
  readonly proxy?: ProxySetting
  /** The certificate with which Berth authenticates in the TLS handshake. Undefined for none. */
  readonly clientCertificate?: ClientCertificateSettings
}

/** Returns the settings of a registry that the config does not describe, with the given endpoint. */
export function registryDefaults(host: string, endpoint: URL): RegistrySettings {
  return {
    host,
    endpoint,
    mirror: false,
    probe: true,
    platforms: [],
    credentials: null,
    ca: null,
    authHosts: [],
    allowPlainHttpAuth: false,
  }
}

/** Returns the URL of a registry without `endpoint`: `https://HOST`, and https://registry-1.docker.io for docker.io. */
export function defaultEndpoint(host: string): string {
  return `https://${apiHost(host)}`
}
