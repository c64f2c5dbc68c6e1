/** Finds the config file of a command. */
import { existsSync } from 'node:fs'
import { BerthError } from '../errors.ts'

const defaultConfigFiles = ['berth.yaml', '/etc/berth/berth.yaml'] as const

/** Returns the first default config file that exists, for verbs that also work without one. */
export function defaultConfigFile(): string | undefined {
  return defaultConfigFiles.find((each) => existsSync(each))
}

/** Returns the file given with `--config`, or the first default one that exists. Throws `config-unreadable`. */
export function findConfigFile(given: string | undefined): string {
  const file = given ?? defaultConfigFile()
  if (file !== undefined) return file
  throw new BerthError(
    'config-unreadable',
    `no config file: neither ${defaultConfigFiles.join(' nor ')} exists; give one with --config FILE, or write one with berth init`,
  )
}
