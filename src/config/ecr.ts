/** `ecr:` of a registry and of `ecrTokens`: what the host's name says is filled in, and what cannot work is refused. */
import { isIP } from 'node:net'
import { resolve as resolvePath } from 'node:path'
import { parseEcrHost } from '../aws/ecr-host.ts'
import type { AwsIdentity, EcrSettings } from '../aws/ecr-settings.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import type { EcrTokenSecret } from './config.ts'
import type { ReportProblem } from './registries.ts'
import type { ConfigInput, EcrInput } from './schema.ts'

interface ConfigLocation {
  readonly host: string
  /** Where files that are named are looked for. */
  readonly directory: string
}

/** The settings for one host; null, and told of, when they cannot work. */
export function readEcr(
  input: EcrInput,
  { host, directory }: ConfigLocation,
  wrong: (message: string) => void,
): EcrSettings | null {
  const faults = faultsOf(input, host)
  for (const fault of faults) wrong(fault)
  const name = parseEcrHost(host)
  const region = input.region ?? (name?.kind === 'private' ? name.region : undefined)
  if (faults.length > 0 || region === undefined) return null
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
  }
}

/** Every pull secret of `ecrTokens`, each host with its own settings or with those of the entry. */
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
    if (seen.has(secret)) {
      report('error', ['ecrTokens', index, 'secret'], `${secret} is kept by an earlier entry`)
    }
    seen.add(secret)
    const entries = hosts.map((host, position) => {
      const wrong = (message: string) =>
        report('error', ['ecrTokens', index, 'registries', position], message)
      if (ecr !== undefined) return { host, ecr: readEcr(ecr, { host, directory }, wrong) }
      const own = registries.get(host)?.credentials ?? null
      if (own?.kind === 'ecr') return { host, ecr: own }
      wrong(
        `${host} has no \`credentials: { ecr: … }\` of its own; give it some, or give this entry an \`ecr\``,
      )
      return { host, ecr: null }
    })
    return {
      secret,
      registries: entries.flatMap(({ host, ecr: own }) =>
        own === null ? [] : [{ host, ecr: own }],
      ),
    }
  })
}

function faultsOf(input: EcrInput, host: string): string[] {
  const faults: string[] = []
  const name = parseEcrHost(host)
  if (name?.kind === 'public') {
    faults.push('name the public gallery, which needs no account; leave them out')
  } else if (name === null && input.region === undefined) {
    faults.push(`are for ${host}, whose name tells no region; say ecr.region`)
  } else if (name !== null && input.region !== undefined && input.region !== name.region) {
    faults.push(
      `say region ${input.region}, and ${host} is in ${name.region}; tokens serve one region`,
    )
  }
  if (input.webIdentity !== undefined && input.staticKeys !== undefined) {
    faults.push('have both webIdentity and staticKeys; a chain begins with one of them')
  }
  for (const endpoint of [input.endpoints.sts, input.endpoints.ecr]) {
    if (endpoint !== undefined && !isSafe(endpoint)) {
      faults.push(`have the endpoint ${withoutUser(endpoint)}, which is no https URL`)
    }
  }
  return faults
}

/** Keys and tokens travel there, so plain HTTP is for this machine alone. */
function isSafe(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, username, password } = new URL(text)
  if (username !== '' || password !== '') return false
  const isHere =
    hostname === 'localhost' ||
    hostname === '[::1]' ||
    (isIP(hostname) === 4 && hostname.startsWith('127.'))
  return protocol === 'https:' || (protocol === 'http:' && isHere)
}

function withoutUser(text: string): string {
  return text.replace(/\/\/[^/]*@/, '//')
}

function identityOf({ webIdentity, staticKeys }: EcrInput, directory: string): AwsIdentity {
  if (staticKeys !== undefined) return { kind: 'staticKeys', secret: staticKeys.secret }
  if (webIdentity === undefined) return { kind: 'ambient' }
  const { roleArn, tokenFile } = webIdentity
  return { kind: 'webIdentity', roleArn, tokenFile: resolvePath(directory, tokenFile) }
}
