/** How tokens of Amazon ECR are fetched for one registry: `credentials: { ecr: … }`, checked and filled in. */

export interface EcrSettings {
  readonly kind: 'ecr'
  readonly region: string
  /** True: the API is asked at its FIPS 140 endpoint, because the registry's name is one of those. */
  readonly fips: boolean
  /** True: the API is asked at its dual-stack (IPv4 and IPv6) endpoint, because the registry's name is one of those. */
  readonly dualStack: boolean
  readonly identity: AwsIdentity
  /** Roles that are assumed one after the other; the last one asks for the token. */
  readonly chain: readonly ChainedRole[]
  /** What CloudTrail shows behind the role's name. */
  readonly sessionName: string
  /** Where the APIs are, when not at AWS's own addresses: a VPC endpoint, for example. */
  readonly endpoints: { readonly sts: string | null; readonly ecr: string | null }
}

/** Who Berth is before it assumes any role of the chain. */
export type AwsIdentity =
  /** What the environment has: a service account's web identity, EKS Pod Identity, the node's role, or variables with keys. */
  | { readonly kind: 'ambient' }
  /** A service account's token, taken by a role whose trust policy names that service account. */
  | { readonly kind: 'webIdentity'; readonly roleArn: string; readonly tokenFile: string }
  /** A mounted Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. */
  | { readonly kind: 'staticKeys'; readonly secret: string }

export interface ChainedRole {
  readonly roleArn: string
  readonly externalId: string | null
}

/** Equal for two registries that can share a token: one serves every account that its caller may pull from, in one region. */
export function ecrTokenKey(settings: EcrSettings): string {
  return JSON.stringify(settings)
}
