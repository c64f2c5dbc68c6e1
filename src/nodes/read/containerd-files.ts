/**
 * Models how each version of containerd loads its configuration: imports, merges and migrations between versions of the
 * configuration (containerd, cmd/containerd/server/config/config.go and plugins/cri/images/plugin.go).
 */
import { parse } from 'smol-toml'
import { isObject, member } from '../../json/json.ts'
import type { ContainerdVersion } from './containerd-versions.ts'
import { firstLine, InvalidFileError } from './runtime-file.ts'

/** The file system of the machine. */
export interface ConfigFileSystem {
  /** Null for a file that does not exist. */
  readonly read: (path: string) => string | null
  /** Returns the files that match, sorted. */
  readonly glob: (pattern: string) => readonly string[]
}

export interface LoadedConfig {
  /** The files that were read, in order. */
  readonly files: readonly string[]
  readonly plugins: Plugins
  readonly disabled: readonly string[]
  /** The version of the configuration after the merge. */
  readonly version: number
}

type Table = Record<string, unknown>
export type Plugins = Readonly<Record<string, unknown>>

interface ConfigFile {
  readonly version: number
  readonly plugins: Plugins
  readonly disabled: readonly string[]
  readonly imports: readonly string[]
}

/** The plugin that has the registry settings since containerd 2.0. */
export const imagesPlugin = 'io.containerd.cri.v1.images'
/** The plugin that has them before, and its name in version 1 of the configuration. */
export const criPlugin = 'io.containerd.grpc.v1.cri'
const firstCriPlugin = 'cri'

/** A configuration that names a file that many times has a loop or is hostile. Real ones have a few files. */
const maxFiles = 1000

/** Throws InvalidFileError if containerd does not start with the files. A missing main file is empty. */
export function loadConfig(
  main: string,
  system: ConfigFileSystem,
  containerd: ContainerdVersion,
): LoadedConfig {
  const isOne = containerd.newestConfig === 2
  let plugins: Plugins = {}
  let version = isOne ? 0 : containerd.newestConfig
  const disabled: string[] = []
  const files: string[] = []
  const pending = system.read(main) === null ? [] : [main]
  for (const path of pending) {
    if (files.includes(path) || files.length >= maxFiles) continue
    const file = readFile(path, system)
    const migrated = isOne ? file : migrateFile(file, version, containerd)
    plugins = isOne ? { ...plugins, ...migrated.plugins } : mergeTables(plugins, migrated.plugins)
    disabled.push(...migrated.disabled)
    version = migrated.version || version
    files.push(path)
    for (const each of file.imports)
      for (const one of resolve(path, each, system)) pending.push(one)
  }
  checkVersion(version, plugins, disabled, containerd)
  const needsMigration = !isOne && !containerd.migratesEachFile && version < 3
  return { files, plugins: needsMigration ? migratePlugins(plugins) : plugins, disabled, version }
}

function readFile(path: string, { read }: ConfigFileSystem): ConfigFile {
  const text = read(path)
  if (text === null) throw new InvalidFileError(`${path}: the file does not exist`)
  try {
    const root = parse(text)
    const { version = 0, plugins = {}, disabled_plugins: disabled = [], imports = [] } = root
    if (typeof version !== 'number') throw new InvalidFileError('version is not a number')
    if (!isObject(plugins)) throw new InvalidFileError('plugins is not a table')
    return { version, plugins, disabled: texts(disabled), imports: texts(imports) }
  } catch (error) {
    throw new InvalidFileError(`${path}: ${firstLine(error)}`)
  }
}

function texts(value: unknown): string[] {
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value
  throw new InvalidFileError('a list is not a list of strings')
}

function resolve(parent: string, path: string, { glob }: ConfigFileSystem): readonly string[] {
  const directory = parent.slice(0, parent.lastIndexOf('/'))
  const absolute = path.startsWith('/') ? path : `${directory}/${path}`
  return absolute.includes('*') ? glob(absolute) : [absolute]
}

/** `merged` is the version of the files before this one. */
function migrateFile(
  file: ConfigFile,
  merged: number,
  { migratesEachFile, newestConfig }: ContainerdVersion,
): ConfigFile {
  const isFirst = file.version < 2
  const plugins = isFirst ? renamed(file.plugins) : file.plugins
  const disabled = isFirst
    ? file.disabled.map((each) => (each === firstCriPlugin ? criPlugin : each))
    : file.disabled
  if (!migratesEachFile)
    return { ...file, plugins, disabled, version: isFirst ? merged : file.version }
  if (file.version >= newestConfig) return file
  return { ...file, plugins: migratePlugins(plugins), disabled, version: newestConfig }
}

function renamed(plugins: Plugins): Plugins {
  const { [firstCriPlugin]: cri, ...others } = plugins
  return cri === undefined ? plugins : { ...others, [criPlugin]: cri }
}

/** The settings that containerd moves as they are; those of `containerd` only with runtimes in it. */
const movedKeys = [
  'registry',
  'image_decryption',
  'max_concurrent_downloads',
  'image_pull_progress_timeout',
  'image_pull_with_sync_fs',
]
const movedContainerdKeys = ['disable_snapshot_annotations', 'discard_unpacked_layers']

/** Moves the settings of images to the plugin that has them since 2.0. They replace those that are there. */
function migratePlugins(plugins: Plugins): Plugins {
  const cri = plugins[criPlugin]
  if (!isObject(cri)) return plugins
  const containerd = cri['containerd']
  const moved: Table = { ...(isObject(plugins[imagesPlugin]) ? plugins[imagesPlugin] : {}) }
  for (const key of movedKeys) if (key in cri) moved[key] = cri[key]
  if (isObject(containerd) && 'runtimes' in containerd)
    for (const key of movedContainerdKeys) if (key in containerd) moved[key] = containerd[key]
  return { ...plugins, [imagesPlugin]: moved }
}

/** Tables are merged, lists are joined, and an empty value replaces nothing (dario.cat/mergo, WithOverride). */
function mergeTables(to: Plugins, from: Plugins): Plugins {
  const merged: Table = { ...to }
  for (const [key, value] of Object.entries(from)) {
    const before = member(to, key)
    if (isObject(before) && isObject(value)) merged[key] = mergeTables(before, value)
    else if (Array.isArray(before) && Array.isArray(value)) merged[key] = [...before, ...value]
    else if (before === undefined || !isEmpty(value)) merged[key] = value
  }
  return merged
}

function isEmpty(value: unknown): boolean {
  return value === '' || value === 0 || value === false
}

function checkVersion(
  version: number,
  plugins: Plugins,
  disabled: readonly string[],
  { newestConfig }: ContainerdVersion,
): void {
  if (version > newestConfig)
    throw new InvalidFileError(
      `the configuration has version ${version}, and the newest that it reads is ${newestConfig}`,
    )
  // Before 2.0, version 2 also has no plugins without their whole name.
  const names = newestConfig === 2 && version === 2 ? Object.keys(plugins) : []
  const isShort = (name: string) => !name.includes('.')
  const short = newestConfig === 2 && version < 2 ? [] : [...names, ...disabled].filter(isShort)
  if (short[0] !== undefined)
    throw new InvalidFileError(`the plugin ${short[0]} needs its whole name, such as ${criPlugin}`)
}
