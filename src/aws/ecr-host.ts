/** The names that registries of Amazon ECR have, in every partition of AWS. */

export type EcrHost =
  | {
      readonly kind: 'private'
      readonly accountId: string
      readonly region: string
      readonly fips: boolean
      readonly dualStack: boolean
    }
  /** The public gallery: it needs no account. */
  | { readonly kind: 'public' }

/**
 * ACCOUNT.dkr.ecr[-fips].REGION.SUFFIX, and ACCOUNT.dkr-ecr[-fips].REGION.on.SUFFIX for dual stack. The suffixes are those
 * of the partitions (AWS's endpoints.json: aws, aws-us-gov, aws-cn, aws-eusc, aws-iso, -b, -e and -f); a name that only begins
 * like one, such as `….amazonaws.com.evil.example`, is somebody else's.
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
const privateName = new RegExp(
  `^(?<account>[0-9]{12})\\.(?:` +
    `dkr\\.ecr(?<fips>-fips)?\\.(?<region>${region})\\.(?:${alternatives(ipv4Suffixes)})|` +
    `dkr-ecr(?<dualFips>-fips)?\\.(?<dualRegion>${region})\\.(?:${alternatives(dualStackSuffixes)}))$`,
)

/** What an ECR host's name says of it; null for a host that is not ECR's. */
export function parseEcrHost(host: string): EcrHost | null {
  if (host === 'public.ecr.aws' || host === 'ecr-public.aws.com') return { kind: 'public' }
  const groups = privateName.exec(host)?.groups
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

function alternatives(suffixes: readonly string[]): string {
  return suffixes.map((suffix) => suffix.replaceAll('.', '\\.')).join('|')
}
