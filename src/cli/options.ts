/** Options that several verbs share, and parsers of option values. Imports nothing but commander, so that help is fast. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { PodContext } from '../decision/fallback/pod-context.ts'
import { defaultSecretsDirectory } from '../engine/secrets-directory.ts'

export interface ConnectionOptions {
  readonly kubeconfig?: string
  readonly context?: string
}

export interface ImageSourceOptions extends ConnectionOptions {
  readonly filename: readonly string[]
  readonly recursive?: boolean
  readonly fromCluster?: boolean
  readonly allNamespaces?: boolean
  readonly namespace?: string
}

export function addOptions(command: Command, ...options: readonly Option[]): Command {
  for (const option of options) command.addOption(option)
  return command
}

/** Puts options under a heading of their own in `--help`. */
export function inGroup(heading: string, ...options: readonly Option[]): Option[] {
  return options.map((option) => option.helpGroup(heading))
}

export function configOption(): Option {
  return new Option('--config <file>', 'config file').default(
    undefined,
    'berth.yaml, then /etc/berth/berth.yaml',
  )
}

/** `--output`; the first format is the default. */
export function outputOption(formats: readonly [string, ...string[]]): Option {
  return new Option('-o, --output <format>', 'output format').choices(formats).default(formats[0])
}

export function secretsDirOption(): Option {
  return new Option(
    '--secrets-dir <dir>',
    'directory of mounted pull secrets, with one subdirectory for each `credentials.secret` of the config',
  ).default(defaultSecretsDirectory)
}

export function namespaceOption(description: string): Option {
  return new Option('-n, --namespace <name>', description)
}

/** What the command line says about the pod of an image. */
export interface PodOptions {
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly owner?: readonly string[]
  readonly platform?: readonly string[]
}

/** `--labels`; the value is a map, undefined if it is not given. */
export function labelsOption(): Option {
  return new Option('--labels <labels>', 'labels of the pod, as KEY=VALUE,KEY=VALUE')
    .argParser(labelPairs)
    .default(undefined, 'unknown')
}

/** `--owner`; the value is a list, empty for `none`, and undefined if it is not given. */
export function ownerOption(pods: string): Option {
  return new Option(
    '--owner <kind>',
    `kind of an owner reference of ${pods}, as GROUP/KIND, or none; repeatable`,
  )
    .argParser(ownerKinds)
    .default(undefined, 'unknown')
}

/** `--platform`; the value is a list, undefined if it is not given. */
export function podPlatformOption(): Option {
  return new Option(
    '--platform <platform>',
    'platform that the pod requires, as OS/ARCH; repeatable',
  )
    .argParser(platformNames)
    .default(undefined, 'any')
}

/** OS/ARCH or OS/ARCH/VARIANT. */
export const platformPattern = /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/

function platformNames(value: string, previous: readonly string[] = []): readonly string[] {
  if (platformPattern.test(value)) return [...new Set([...previous, value])].sort()
  throw new InvalidArgumentError('Write OS/ARCH, for example linux/arm64.')
}

/** Returns what rows can see of the pod. What is not given is not known. */
export function podContextOf({ namespace, labels, owner, platform }: PodOptions): PodContext {
  return {
    namespace: namespace ?? null,
    labels: labels ?? null,
    owners: owner ?? null,
    ...(platform === undefined ? {} : { platforms: platform }),
  }
}

function labelPairs(value: string): Readonly<Record<string, string>> {
  const pairs = value === '' ? [] : value.split(',')
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=')
      if (equals < 1) throw new InvalidArgumentError('Write KEY=VALUE,KEY=VALUE.')
      return [pair.slice(0, equals), pair.slice(equals + 1)]
    }),
  )
}

function ownerKinds(value: string, previous: readonly string[] = []): readonly string[] {
  if (value === 'none') return previous
  if (/^[a-z0-9.-]*\/[A-Z][A-Za-z0-9]*$/.test(value)) return [...previous, value]
  throw new InvalidArgumentError(
    'Write GROUP/KIND without the version, for example apps/ReplicaSet, or /KIND for the core group.',
  )
}

export function allNamespacesOption(): Option {
  return new Option('-A, --all-namespaces', 'all namespaces')
}

export function connectionOptions(): Option[] {
  return [
    new Option('--kubeconfig <file>', 'kubeconfig file').default(
      undefined,
      "$KUBECONFIG, ~/.kube/config, then the pod's service account",
    ),
    new Option('--context <name>', 'context of the kubeconfig').default(
      undefined,
      'its current context',
    ),
  ]
}

export function filenameOption(): Option {
  return new Option(
    '-f, --filename <path>',
    'manifest file, directory, or - for standard input; repeatable',
  )
    .argParser(collect)
    .default([])
}

export function recursiveOption(source = '-f'): Option {
  return new Option(
    '-R, --recursive',
    `also read the subdirectories of directories given with ${source}`,
  )
}

/** `--policies`. Its value is a list; undefined without the option. */
export function policiesOption(description: string): Option {
  return new Option(
    '--policies <source>',
    `${description}: a file, a directory, - for standard input, or cluster; repeatable`,
  ).argParser(collect)
}

/** Options that name images by manifests or by the pods of a cluster. */
export function imageSourceOptions(directories = '-f'): Option[] {
  return [
    filenameOption(),
    recursiveOption(directories),
    new Option('--from-cluster', 'images of the pods in a cluster'),
    namespaceOption('namespace of the pods, and of manifests without a namespace').default(
      undefined,
      "the context's namespace for pods; unknown for manifests",
    ),
    allNamespacesOption(),
    ...connectionOptions(),
  ]
}

export function portOption(flags: string, description: string, port: number): Option {
  return new Option(flags, `${description}; 0 selects a free port`)
    .argParser(wholeNumber(0, 65_535))
    .default(port)
}

export function logLevelOption(): Option {
  return new Option('--log-level <level>', 'lowest level that is logged')
    .choices(['info', 'debug', 'warn', 'error'])
    .default('info')
}

/** Parses a whole number within a range. */
export function wholeNumber(minimum: number, maximum: number): (value: string) => number {
  return (value) => {
    const number = Number(value)
    if (/^[0-9]+$/.test(value) && number >= minimum && number <= maximum) return number
    throw new InvalidArgumentError(`Give a whole number from ${minimum} to ${maximum}.`)
  }
}

/** Parses `A,B`. */
export function commaSeparated(value: string): string[] {
  return value.split(',')
}

/** Collects the values of an option that may be repeated. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value]
}

/** Parses `NAMESPACE/NAME`. */
export function namespacedName(value: string): {
  readonly namespace: string
  readonly name: string
} {
  const [namespace = '', name = '', ...rest] = value.split('/')
  if (namespace !== '' && name !== '' && rest.length === 0) return { namespace, name }
  throw new InvalidArgumentError('Write NAMESPACE/NAME.')
}

export function quietOption(description: string): Option {
  return new Option('-q, --quiet', description)
}

export function watchOption(): Option {
  return new Option('-w, --watch', 'print again when pods change, and every minute, until Ctrl-C')
}
