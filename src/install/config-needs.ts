/** Finds out what a config needs in the cluster: components for rights, Secrets, and files next to it. */
import { isAbsolute, resolve as resolvePath } from 'node:path'
import type { ValidConfig } from '../config/load.ts'
import { BerthError } from '../errors.ts'
import { describeFileError } from '../files/describe-file-error.ts'
import { readRegularFile, TooLargeError } from '../files/read-limited.ts'
import { microk8sHost } from '../init/mirror-kind.ts'
import { isLocalUrl } from '../proxy/no-proxy.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import { configLimits } from '../yaml/limits.ts'

export interface ConfigNeeds {
  /** Names in deploy/components. */
  readonly components: readonly string[]
  /** Secrets that the webhook and the controller mount. */
  readonly secrets: readonly string[]
  /** Content by the name that the config uses. */
  readonly files: Readonly<Record<string, string>>
  readonly mirrors: readonly string[]
  /** Secrets that the controller writes for `ecrTokens`. */
  readonly ecrSecrets: readonly string[]
  /** Steps that the user has to do. */
  readonly notes: readonly string[]
}

/** The name of the Secret in the component ecr-tokens. */
const ecrSecret = 'ecr-pull'

/** Throws `usage` for a file that must not, or cannot, be in a ConfigMap. */
export function configNeeds({ config, input }: ValidConfig, directory: string): ConfigNeeds {
  const isMicrok8s = config.registries.has(microk8sHost)
  const copies = config.pullSecretCopies.copies
  const needed: Readonly<Record<string, boolean>> = {
    microk8s: isMicrok8s,
    mirror: config.mirror.running,
    'pull-failures': config.pullFailures.report,
    'leave-conflicts': config.conflicts === 'leave',
    'stuck-pods': config.stuckPods !== null,
    'unprocessed-pods': config.unprocessed !== null,
    availability: config.availability !== null,
    reports: config.reports.openReports,
    'ecr-tokens': config.ecrTokens.length > 0,
    'ensure-pull-secrets': copies.some(({ ensure }) => ensure),
  }
  const ecrSecrets = config.ecrTokens.map(({ secret }) => secret)
  const other = ecrSecrets.filter((secret) => secret !== ecrSecret)
  return {
    components: Object.keys(needed).filter((name) => needed[name]),
    secrets: secretsOf(input),
    files: filesOf(input, directory),
    mirrors: [...config.registries.values()].filter(({ mirror }) => mirror).map(({ host }) => host),
    ecrSecrets,
    notes: [
      ...[...config.registries.values()].flatMap(loopbackNotes),
      ...(copies.length > 0
        ? ['for pullSecretCopies, also apply what `berth secrets rbac` prints']
        : []),
      ...other.map(
        (secret) =>
          `the controller may not write the Secret ${secret}: name it ${ecrSecret}, or use Helm`,
      ),
    ],
  }
}

/** In a pod, a loopback address is the pod itself. */
function loopbackNotes({ host, endpoint, proxy }: RegistrySettings): string[] {
  const isLocalProxy = typeof proxy === 'object' && isLocalUrl(new URL(proxy.name))
  return [
    ...(isLocalUrl(endpoint)
      ? [
          `pods of Berth cannot reach ${host} at ${endpoint.origin}, which is their own address; set its \`endpoint\` to an address of a node or a Service`,
        ]
      : []),
    ...(isLocalProxy
      ? [
          `pods of Berth cannot reach the proxy ${proxy.name} of ${host}, which is their own address; write an address that pods reach`,
        ]
      : []),
  ]
}

type ConfigInput = ValidConfig['input']

function secretsOf({ registries }: ConfigInput): readonly string[] {
  const names = registries.flatMap(({ credentials, clientCertificate }) => [
    ...(credentials === undefined ? [] : 'secret' in credentials ? [credentials.secret] : []),
    ...(credentials !== undefined &&
    'ecr' in credentials &&
    credentials.ecr.staticKeys !== undefined
      ? [credentials.ecr.staticKeys.secret]
      : []),
    ...(clientCertificate !== undefined && 'secret' in clientCertificate
      ? [clientCertificate.secret]
      : []),
  ])
  return [...new Set(names)]
}

/** Returns the public files that the config names by a relative path: CAs, public keys and the lock file. */
function filesOf(
  { registries, pin, mirror }: ConfigInput,
  directory: string,
): Record<string, string> {
  for (const { host, credentials, clientCertificate, proxy } of registries) {
    if (proxy?.includes('@') === true)
      throw new BerthError(
        'usage',
        `the registry ${host} has a proxy with a password, which must not be in a ConfigMap; leave out \`proxy\`, and set it in a Secret (docs/configuration.md#proxies)`,
      )
    const isSecret =
      (credentials !== undefined && 'dockerConfig' in credentials) ||
      (clientCertificate !== undefined && 'key' in clientCertificate)
    if (isSecret)
      throw new BerthError(
        'usage',
        `the registry ${host} has a login or a key in a file, which must not be in a ConfigMap; put it into a Secret, and use { secret: NAME }`,
      )
  }
  const named = [
    ...registries.flatMap(({ ca }) => ca ?? []),
    ...(pin.lock === undefined ? [] : [pin.lock]),
    ...mirror.verify.flatMap(({ cosign }) => [
      ...(cosign?.key === undefined ? [] : [cosign.key]),
      ...(cosign?.trustedRoot === undefined ? [] : [cosign.trustedRoot]),
    ]),
  ].filter((name) => !isAbsolute(name) && !/^\s*\{|-----BEGIN/.test(name))
  return Object.fromEntries([...new Set(named)].map((name) => [keyOf(name), read(name, directory)]))
}

/** Returns the key in the ConfigMap, whose keys are file names. */
function keyOf(name: string): string {
  const key = name.replace(/^\.\//, '')
  if (/^[-._a-zA-Z0-9]+$/.test(key)) return key
  throw new BerthError(
    'usage',
    `${name} is not in the directory of the config; move it there, because both become keys of one ConfigMap`,
  )
}

function read(name: string, directory: string): string {
  const text = readText(name, directory)
  if (!text.includes('PRIVATE KEY-----')) return text
  throw new BerthError(
    'usage',
    `${name} contains a private key, which must not be in a ConfigMap; remove the key from the file`,
  )
}

function readText(name: string, directory: string): string {
  try {
    return readRegularFile(resolvePath(directory, name), configLimits.length).toString('utf8')
  } catch (cause) {
    const why = cause instanceof TooLargeError ? cause.message : describeFileError(cause)
    throw new BerthError('usage', `${name} cannot be read: ${why}`, { cause })
  }
}
