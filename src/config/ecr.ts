/** Reads the `ecr` settings of registries and of `ecrTokens`: completes them from the host, and checks them. */
import { isIP } from 'node:net'
import { resolve as resolvePath } from 'node:path'
import { parseEcrHost } from '../aws/ecr-host.ts'
import type { AwsIdentity, EcrSettings } from '../aws/ecr-settings.ts'
import type { ProxySetting } from '../proxy/proxy-rules.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import type { EcrTokenSecret } from './config.ts'
import { isHost } from './host.ts'
import type { ReportProblem } from './problem.ts'
import type { ConfigInput, EcrInput } from './schema.ts'

interface EcrRegistry {
  readonly host: string
  /** Relative paths in the config start from here. */
  readonly directory: string
  /** The proxy of the registry. */
  readonly proxy?: ProxySetting
}

/** Returns the settings for one host; null after an error. */
export function readEcr(
  input: EcrInput,
  { host, directory, proxy }: EcrRegistry,
  reportError: (message: string) => void,
): EcrSettings | null {
  const problems = findProblems(input, host)
  for (const problem of problems) reportError(problem)
  const name = parseEcrHost(host)
  const region = input.region ?? (name?.kind === 'private' ? name.region : undefined)
  if (problems.length > 0 || region === undefined) return null
  const { fips, dualStack } = name?.kind === 'private' ? name : { fips: false, dualStack: false }
  return {
    kind: 'ecr',
    region,
    fips,
    dualStack,
    identity: identityOf(input, directory),
    chain: input.chain.map((link) =>
      typeof link === 'string'
        ? { roleArn: link, externalId: null }
        : { roleArn: link.roleArn, externalId: link.externalId ?? null },
    ),
    sessionName: input.sessionName,
    endpoints: { sts: input.endpoints.sts ?? null, ecr: input.endpoints.ecr ?? null },
    ...(proxy !== undefined && { proxy }),
  }
}

/** Returns the pull secrets of `ecrTokens`. A host has the settings of the entry, or else those of its credentials. */
export function readEcrTokens(
  inputs: ConfigInput['ecrTokens'],
  {
    registries,
    directory,
    report,
  }: {
    readonly registries: ReadonlyMap<string, RegistrySettings>
    readonly directory: string
    readonly report: ReportProblem
  },
): EcrTokenSecret[] {
  const seen = new Set<string>()
  return inputs.map(({ secret, registries: hosts, ecr }, index) => {
    if (seen.has(secret))
      report(
        'error',
        ['ecrTokens', index, 'secret'],
        `an earlier entry has the secret ${secret}; merge the two entries`,
      )
    seen.add(secret)
    const entries = hosts.flatMap((host, position): EcrTokenSecret['registries'][number][] => {
      const reportError = (message: string) =>
        report('error', ['ecrTokens', index, 'registries', position], message)
      if (!isHost(host)) {
        reportError('… is not a host; write the host of an Amazon ECR registry')
        return []
      }
      const settings =
        ecr === undefined
          ? ecrCredentials(registries.get(host))
          : readEcr(ecr, { host, directory }, reportError)
      if (ecr === undefined && settings === null)
        reportError(
          `the registry ${host} has no \`credentials: { ecr: … }\`; add it, or add \`ecr\` to this entry`,
        )
      return settings === null ? [] : [{ host, ecr: settings }]
    })
    return { secret, registries: entries }
  })
}

function ecrCredentials(registry: RegistrySettings | undefined): EcrSettings | null {
  const credentials = registry?.credentials ?? null
  return credentials?.kind === 'ecr' ? credentials : null
}

function findProblems(input: EcrInput, host: string): string[] {
  const problems: string[] = []
  const name = parseEcrHost(host)
  if (name?.kind === 'public') {
    problems.push('Amazon ECR Public needs no account; remove `ecr`')
  } else if (name === null && input.region === undefined) {
    problems.push(`the host ${host} does not contain an AWS region; set ecr.region`)
  } else if (name !== null && input.region !== undefined && input.region !== name.region) {
    problems.push(
      `ecr.region is ${input.region}, but the host ${host} is in ${name.region}; remove ecr.region`,
    )
  }
  if (input.webIdentity !== undefined && input.staticKeys !== undefined)
    problems.push('ecr has both webIdentity and staticKeys; remove one of them')
  for (const [key, endpoint] of Object.entries(input.endpoints)) {
    if (endpoint !== undefined && !isSafeEndpoint(endpoint))
      problems.push(`ecr.endpoints.${key} must be an https URL without a user`)
  }
  return problems
}

/** Keys and tokens are sent to this URL, so plain HTTP is only for the loopback address. */
function isSafeEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, username, password } = new URL(text)
  if (username !== '' || password !== '') return false
  const isLoopback =
    hostname === 'localhost' ||
    hostname === '[::1]' ||
    (isIP(hostname) === 4 && hostname.startsWith('127.'))
  return protocol === 'https:' || (protocol === 'http:' && isLoopback)
}

function identityOf({ webIdentity, staticKeys }: EcrInput, directory: string): AwsIdentity {
  if (staticKeys !== undefined) return { kind: 'staticKeys', secret: staticKeys.secret }
  if (webIdentity === undefined) return { kind: 'ambient' }
  const { roleArn, tokenFile } = webIdentity
  return { kind: 'webIdentity', roleArn, tokenFile: resolvePath(directory, tokenFile) }
}
