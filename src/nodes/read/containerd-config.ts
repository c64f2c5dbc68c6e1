/** Reads from containerd's own configuration which directories it reads hosts.toml from (containerd docs, hosts.md and cri/config.md). */
import { parse, type TomlTable } from 'smol-toml'
import { firstLine, type RuntimeFile } from './runtime-file.ts'

export interface ContainerdConfig {
  readonly configPaths: readonly string[]
  readonly findings: readonly string[]
}

/** The registry table in each version of the configuration. */
const registryTables: readonly (readonly string[])[] = [
  ['plugins', 'io.containerd.cri.v1.images', 'registry'],
  ['plugins', 'io.containerd.grpc.v1.cri', 'registry'],
  ['plugins', 'cri', 'registry'],
]

/** The default of containerd 2; containerd 1 has none. */
const defaultPaths: readonly string[] = ['/etc/containerd/certs.d', '/etc/docker/certs.d']

/** Reads the main file and its drop-ins, in the order in which containerd merges them. Never throws. */
export function readContainerdConfig(files: readonly RuntimeFile[]): ContainerdConfig {
  const findings: string[] = []
  let configPath = ''
  let fileWithMirrors: string | null = null
  for (const { name, text } of files) {
    const root = parseOrReport(name, text, findings)
    for (const path of registryTables) {
      const registry = tableAt(root, path)
      if (typeof registry?.['config_path'] === 'string') configPath = registry['config_path']
      if (registry?.['mirrors'] !== undefined) fileWithMirrors = name
    }
  }
  if (configPath !== '') {
    if (fileWithMirrors !== null)
      findings.push(
        `${fileWithMirrors}: registry.mirrors and config_path are both set, and containerd does not start with both; remove registry.mirrors`,
      )
    return { configPaths: configPath.split(':').filter((each) => each !== ''), findings }
  }
  if (fileWithMirrors !== null) {
    findings.push(
      `${fileWithMirrors}: registry.mirrors is used, so certs.d is not read; replace it with config_path = "/etc/containerd/certs.d"`,
    )
    return { configPaths: [], findings }
  }
  findings.push(
    'config_path is not set: containerd 2 reads /etc/containerd/certs.d by default, but containerd 1 reads nothing; set it, and restart containerd',
  )
  return { configPaths: defaultPaths, findings }
}

function parseOrReport(name: string, text: string, findings: string[]): TomlTable {
  try {
    return parse(text)
  } catch (error) {
    findings.push(`${name}: ${firstLine(error)}; containerd does not start with it`)
    return {}
  }
}

function tableAt(root: TomlTable, path: readonly string[]): TomlTable | null {
  let table: unknown = root
  for (const key of path)
    table = typeof table === 'object' && table !== null ? (table as TomlTable)[key] : undefined
  return typeof table === 'object' && table !== null ? (table as TomlTable) : null
}
