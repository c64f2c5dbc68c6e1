import { existsSync } from 'node:fs'
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { BerthError } from '../errors.ts'
import type { ConnectOptions } from '../kube/connect.ts'
import type { ImageSources } from '../manifests/image-uses.ts'
import { type Io, print } from './io.ts'

export interface Parsed {
  readonly values: Readonly<Record<string, string | boolean | readonly string[] | undefined>>
  readonly positionals: readonly string[]
}

/** Parses the arguments of a verb that takes options alone. Throws `usage` with the verb's own help line. */
export function readOptions(
  args: readonly string[],
  options: ParseArgsOptionsConfig,
  usage: string,
): Parsed['values'] {
  const { values, positionals } = readArguments(args, options, usage)
  if (positionals.length === 0) return values
  throw new BerthError(
    'usage',
    `${positionals[0]} is not expected here; files are given by options\nusage: ${usage}`,
  )
}

/** Parses a verb's arguments. Throws `usage` with the verb's own help line. */
export function readArguments(
  args: readonly string[],
  options: ParseArgsOptionsConfig,
  usage: string,
): Parsed {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options,
      allowPositionals: true,
      strict: true,
    })
    return { values: values as Parsed['values'], positionals }
  } catch (error) {
    const [message = ''] = String(error instanceof Error ? error.message : error).split(
      '. To specify',
    )
    throw new BerthError(
      'usage',
      `${message.charAt(0).toLowerCase()}${message.slice(1)}\nusage: ${usage}`,
      { cause: error },
    )
  }
}

export function text(values: Parsed['values'], name: string): string | undefined {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

/** The values of an option that may be given more than once, in order. */
export function texts(values: Parsed['values'], name: string): readonly string[] {
  const value = values[name]
  return Array.isArray(value) ? (value as readonly string[]) : []
}

/** A port from an option; throws `usage`. 0 lets the system choose. */
export function port(values: Parsed['values'], name: string, fallback: number): number {
  const value = text(values, name)
  if (value === undefined) return fallback
  const number = Number(value)
  if (!/^[0-9]+$/.test(value) || number > 65_535)
    throw new BerthError('usage', `--${name} ${value} is not a port; give a number from 0 to 65535`)
  return number
}

/** A whole number from 0 up; throws `usage`. */
export function count(values: Parsed['values'], name: string, fallback: number): number {
  const value = text(values, name)
  if (value === undefined) return fallback
  if (/^[0-9]{1,6}$/.test(value)) return Number(value)
  throw new BerthError('usage', `--${name} ${value} is not a number; give one from 0 up`)
}

/** One of a closed list; throws `usage`. */
export function oneOf<Choice extends string>(
  values: Parsed['values'],
  name: string,
  choices: readonly [Choice, ...Choice[]],
): Choice {
  const value = text(values, name)
  if (value === undefined) return choices[0]
  const choice = choices.find((each) => each === value)
  if (choice === undefined)
    throw new BerthError(
      'usage',
      `--${name} ${value} is not known; choose one of ${choices.join(', ')}`,
    )
  return choice
}

const defaultConfigFiles = ['berth.yaml', '/etc/berth/berth.yaml'] as const

/** The first of the default config files that exists, for commands that can do without one. */
export function defaultConfigFile(): string | undefined {
  return defaultConfigFiles.find((each) => existsSync(each))
}

/** The config file that was given, or the first default one that exists. Throws `config-unreadable`. */
export function configFile(values: Parsed['values']): string {
  const file = text(values, 'config') ?? defaultConfigFile()
  if (file !== undefined) return file
  throw new BerthError(
    'config-unreadable',
    `no config file: neither ${defaultConfigFiles.join(' nor ')} exists; give one with --config FILE`,
  )
}

/** The options that `imageSources` reads. */
export const imageSourceOptions = {
  filename: { type: 'string', short: 'f', multiple: true },
  recursive: { type: 'boolean', short: 'R' },
  'from-cluster': { type: 'boolean' },
  'all-namespaces': { type: 'boolean', short: 'A' },
  namespace: { type: 'string', short: 'n' },
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
} as const

/** The cluster that the options name. */
export function connection(values: Parsed['values'], { env }: Io): ConnectOptions {
  return { kubeconfig: text(values, 'kubeconfig'), context: text(values, 'context'), env }
}

/** The manifests and pods whose images the command is about. */
export function imageSources(values: Parsed['values'], io: Io): ImageSources {
  return {
    files: texts(values, 'filename'),
    recursive: values['recursive'] === true,
    stdin: io.stdin,
    namespace: text(values, 'namespace'),
    cluster:
      values['from-cluster'] === true
        ? {
            ...connection(values, io),
            allNamespaces: values['all-namespaces'] === true,
            signal: io.signal,
          }
        : null,
    onProblem: (message) => print(io.stderr, `berth: ${message}`),
  }
}
