/** Reads from containerd's own configuration which directories it reads hosts.toml from, as each version does. */
import { isObject, member } from '../../json/json.ts'
import {
  type ConfigFileSystem,
  criPlugin,
  imagesPlugin,
  type LoadedConfig,
  loadConfig,
} from './containerd-files.ts'
import { allContainerdVersions, type ContainerdVersion } from './containerd-versions.ts'
import { firstLine } from './runtime-file.ts'

export interface ContainerdConfig {
  /** The directories that are searched for hosts.toml, in order. */
  readonly configPaths: readonly string[]
  /** The configuration files that are read, in order. */
  readonly files: readonly string[]
  /** Why no image can be pulled; null if images can. */
  readonly fault: string | null
  /** True if the deprecated registry.mirrors is used instead of directories. */
  readonly usesMirrors: boolean
  readonly findings: readonly string[]
}

const certsDirectory = '/etc/containerd/certs.d'

/** Reads the main file and what it imports. `version`: null if it is not known. Never throws. */
export function readContainerdConfig(
  main: string,
  system: ConfigFileSystem,
  version: ContainerdVersion | null,
): ContainerdConfig {
  if (version !== null) return readAs(main, system, version)
  const answers = allContainerdVersions.map((each) => [each, readAs(main, system, each)] as const)
  const [, newest] = answers.at(-1) ?? []
  if (newest === undefined) throw new Error('there is no version of containerd')
  const texts = new Set(answers.map(([, answer]) => summaryOf(answer)))
  const [newestVersion] = allContainerdVersions.slice(-1)
  if (texts.size === 1 && newestVersion !== undefined)
    return readAs(main, system, { ...newestVersion, name: '' })
  // A setting that only some versions read counts as not set.
  const summary = answers.map(([{ name }, answer]) => `${name}: ${summaryOf(answer)}`).join('; ')
  const finding = `what containerd reads depends on its version, which is not known (use --target-version): ${summary}`
  return { ...newest, configPaths: [], findings: [finding] }
}

function summaryOf({ configPaths, fault, usesMirrors }: ContainerdConfig): string {
  if (fault !== null) return 'it does not start'
  if (usesMirrors) return 'registry.mirrors'
  return configPaths.length === 0 ? 'no directory' : configPaths.join(', ')
}

function readAs(
  main: string,
  system: ConfigFileSystem,
  version: ContainerdVersion,
): ContainerdConfig {
  const nothing = { configPaths: [], files: [], usesMirrors: false }
  const failed = (fault: string) => ({ ...nothing, fault, findings: [fault] })
  try {
    const loaded = loadConfig(main, system, version)
    const disabled = loaded.disabled.find((each) => isCri(each, version))
    if (disabled !== undefined)
      return failed(
        `disabled_plugins has ${disabled}, so containerd does not serve the kubelet; remove it`,
      )
    return readRegistry(loaded, version)
  } catch (error) {
    return failed(`${firstLine(error)}; ${called(version)} does not start with it`)
  }
}

function isCri(plugin: string, { newestConfig }: ContainerdVersion): boolean {
  return newestConfig === 2 ? plugin === criPlugin || plugin === 'cri' : plugin === criPlugin
}

function readRegistry(loaded: LoadedConfig, version: ContainerdVersion): ContainerdConfig {
  const { files, plugins } = loaded
  const images = plugins[pluginOf(loaded, version)]
  const registry = member(images, 'registry')
  const path = member(registry, 'config_path') ?? ''
  const usesMirrors = sizeOf(member(registry, 'mirrors')) > 0
  const read = { configPaths: [] as string[], files, usesMirrors, fault: null as string | null }
  const failed = (fault: string) => ({ ...read, usesMirrors: false, fault, findings: [fault] })
  if (typeof path !== 'string')
    return failed(`config_path is not a string; ${called(version)} does not start with it`)
  if (usesMirrors && path !== '')
    return failed(
      'registry.mirrors and config_path are both set, and containerd does not serve the kubelet with both; remove registry.mirrors',
    )
  if (usesMirrors) {
    const finding = `registry.mirrors is used, so certs.d is not read; replace it with config_path = "${certsDirectory}"`
    return { ...read, findings: [finding] }
  }
  const used = path || (version.defaultPath ?? '')
  const isOneDirectory = version.pullsByTransfer && !pullsByCri(images, registry)
  const directories = used.split(':').filter((each) => each !== '')
  // The transfer service takes the text for the name of one directory, which does not exist.
  const configPaths = isOneDirectory && used.includes(':') ? [] : directories
  const findings = configPaths.length > 0 ? [] : [whyNothing(loaded, version, path)]
  return { ...read, configPaths, findings }
}

function pluginOf({ version: config }: LoadedConfig, { newestConfig }: ContainerdVersion): string {
  if (newestConfig > 2) return imagesPlugin
  return config < 2 ? 'cri' : criPlugin
}

function whyNothing(loaded: LoadedConfig, version: ContainerdVersion, path: string): string {
  const fix = `set config_path = "${certsDirectory}" in [plugins."${pluginOf(loaded, version)}".registry], and restart containerd`
  const name = called(version)
  if (path !== '')
    return `config_path is ${path}, and ${name} takes it for one directory, which does not exist: it reads no hosts.toml; ${fix}`
  const ignored = [imagesPlugin, criPlugin, 'cri'].find((plugin) => {
    const set = member(member(loaded.plugins[plugin], 'registry'), 'config_path')
    return typeof set === 'string' && set !== ''
  })
  if (ignored !== undefined)
    return `config_path is in [plugins."${ignored}".registry], which ${name} ignores, because the configuration has ${loaded.version === 0 ? 'no version' : `version ${loaded.version}`}: it reads no hosts.toml; ${fix}`
  const why =
    version.defaultPath === null
      ? `${name} has no default`
      : `${name} takes its default, ${version.defaultPath}, for one directory`
  return `config_path is not set, and ${why}: it reads no hosts.toml; ${fix}`
}

/** Without a number if every version does the same. */
function called({ name }: ContainerdVersion): string {
  return name === '' ? 'containerd' : `containerd ${name}`
}

/** Settings with which the CRI service pulls itself, and not by the transfer service (CheckLocalImagePullConfigs). */
function pullsByCri(images: unknown, registry: unknown): boolean {
  return (
    member(images, 'use_local_image_pull') === true ||
    member(images, 'disable_snapshot_annotations') === false ||
    member(images, 'discard_unpacked_layers') === true ||
    member(images, 'image_pull_with_sync_fs') === true ||
    (member(images, 'max_concurrent_downloads') ?? 3) !== 3 ||
    sizeOf(member(registry, 'configs')) > 0 ||
    sizeOf(member(registry, 'auths')) > 0
  )
}

function sizeOf(value: unknown): number {
  return isObject(value) ? Object.keys(value).length : 0
}
