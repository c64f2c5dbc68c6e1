/** The settings for fetching Amazon ECR tokens of one registry: `credentials: { ecr: … }` in the config, with defaults. */
import type { ProxySetting } from '../proxy/proxy-rules.ts'

export interface EcrSettings {
  readonly kind: 'ecr'
  readonly region: string
  /** True: Berth calls the FIPS 140 endpoints, because the host of the registry is a FIPS one. */
  readonly fips: boolean
  /** True: Berth calls the dual-stack (IPv4 and IPv6) endpoints, because the host of the registry is a dual-stack one. */
  readonly dualStack: boolean
  readonly identity: AwsIdentity
  /** Roles to assume one after the other. The last one fetches the token. */
  readonly chain: readonly ChainedRole[]
  /** The session name that CloudTrail shows. */
  readonly sessionName: string
  /** The URLs of the APIs, such as VPC endpoints; null for those of AWS. */
  readonly endpoints: { readonly sts: string | null; readonly ecr: string | null }
  /** The proxy of the registry, also for these APIs. Undefined for the one of the environment. */
  readonly proxy?: ProxySetting
}

/** The identity of Berth before it assumes a role of the chain. */
export type AwsIdentity =
  /** From the environment: a web identity, EKS Pod Identity, the role of the node, or variables with keys. */
  | { readonly kind: 'ambient' }
  /** A service account token, for a role whose trust policy names the service account. */
  | { readonly kind: 'webIdentity'; readonly roleArn: string; readonly tokenFile: string }
  /** A mounted Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. */
  | { readonly kind: 'staticKeys'; readonly secret: string }

export interface ChainedRole {
  readonly roleArn: string
  readonly externalId: string | null
}

/** Returns the same key for registries that can share a token: a token is for all accounts that its caller may pull from, in one region. */
export function ecrTokenKey(settings: EcrSettings): string {
  return JSON.stringify(settings)
}
