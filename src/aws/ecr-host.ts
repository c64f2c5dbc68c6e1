/** Parses the host names of Amazon ECR registries, in every partition of AWS. */

export type EcrHost =
  | {
      readonly kind: 'private'
      readonly accountId: string
      readonly region: string
      readonly fips: boolean
      readonly dualStack: boolean
    }
  /** The public gallery, which needs no account. */
  | { readonly kind: 'public' }

/**
 * ACCOUNT.dkr.ecr[-fips].REGION.SUFFIX, and ACCOUNT.dkr-ecr[-fips].REGION.on.SUFFIX for dual stack, with the suffixes of each
 * partition (AWS's endpoints.json: aws, aws-us-gov, aws-cn, aws-eusc, aws-iso, -b, -e and -f). The whole name must match:
 * `….amazonaws.com.evil.example` belongs to someone else.
 */
const ipv4Suffixes = [
  'amazonaws.com',
  'amazonaws.com.cn',
  'amazonaws.eu',
  'c2s.ic.gov',
  'sc2s.sgov.gov',
  'cloud.adc-e.uk',
  'csp.hci.ic.gov',
]
const dualStackSuffixes = ['on.aws', 'on.amazonwebservices.com.cn', 'on.amazonwebservices.eu']

const region = '[a-z]{2,4}(?:-[a-z]+){1,2}-[0-9]{1,2}'
const privateHost = new RegExp(
  `^(?<account>[0-9]{12})\\.(?:` +
    `dkr\\.ecr(?<fips>-fips)?\\.(?<region>${region})\\.(?:${anyOf(ipv4Suffixes)})|` +
    `dkr-ecr(?<dualFips>-fips)?\\.(?<dualRegion>${region})\\.(?:${anyOf(dualStackSuffixes)}))$`,
)

/** Returns null for a host that is not an ECR registry. */
export function parseEcrHost(host: string): EcrHost | null {
  if (host === 'public.ecr.aws' || host === 'ecr-public.aws.com') return { kind: 'public' }
  const groups = privateHost.exec(host)?.groups
  if (groups === undefined) return null
  const dualStack = groups['dualRegion'] !== undefined
  return {
    kind: 'private',
    accountId: groups['account'] ?? '',
    region: groups[dualStack ? 'dualRegion' : 'region'] ?? '',
    fips: groups[dualStack ? 'dualFips' : 'fips'] !== undefined,
    dualStack,
  }
}

function anyOf(suffixes: readonly string[]): string {
  return suffixes.map((suffix) => suffix.replaceAll('.', '\\.')).join('|')
}
