/** Which directories containerd reads hosts.toml from, by its own configuration (containerd docs, hosts.md and cri/config.md). */
import { parse, type TomlTable } from 'smol-toml'

export interface ContainerdConfig {
  readonly configPaths: readonly string[]
  readonly findings: readonly string[]
}

/** The registry section under each version of the configuration. */
const sections: readonly (readonly string[])[] = [
  ['plugins', 'io.containerd.cri.v1.images', 'registry'],
  ['plugins', 'io.containerd.grpc.v1.cri', 'registry'],
  ['plugins', 'cri', 'registry'],
]

/** What containerd 2 reads when nothing is said; containerd 1 then reads none. */
const defaultPaths: readonly string[] = ['/etc/containerd/certs.d', '/etc/docker/certs.d']

/** Takes the main file and its drop-ins, in the order in which containerd merges them. Never throws. */
export function readContainerdConfig(
  files: readonly { readonly name: string; readonly text: string }[],
): ContainerdConfig {
  const findings: string[] = []
  let configPath = ''
  let old: string | null = null
  for (const { name, text } of files) {
    const root = read(name, text, findings)
    for (const section of sections) {
      const registry = tableAt(root, section)
      if (typeof registry?.['config_path'] === 'string') configPath = registry['config_path']
      if (registry?.['mirrors'] !== undefined) old = name
    }
  }
  if (old !== null && configPath !== '')
    findings.push(
      `${old}: registry.mirrors stands beside config_path, and containerd does not start with both; remove the mirrors`,
    )
  if (old !== null && configPath === '')
    findings.push(
      `${old}: registry.mirrors is in force and certs.d is not read; put config_path = "/etc/containerd/certs.d" in its place`,
    )
  if (configPath !== '')
    return { configPaths: configPath.split(':').filter((each) => each !== ''), findings }
  if (old !== null) return { configPaths: [], findings }
  findings.push(
    'config_path is not set: containerd 2 reads /etc/containerd/certs.d all the same, containerd 1 reads nothing; set it, and restart containerd',
  )
  return { configPaths: defaultPaths, findings }
}

function read(name: string, text: string, findings: string[]): TomlTable {
  try {
    return parse(text)
  } catch (error) {
    const [why = ''] = String(error instanceof Error ? error.message : error).split('\n', 1)
    findings.push(`${name}: ${why}; containerd does not start with it`)
    return {}
  }
}

function tableAt(root: TomlTable, path: readonly string[]): TomlTable | null {
  let table: unknown = root
  for (const key of path)
    table = typeof table === 'object' && table !== null ? (table as TomlTable)[key] : undefined
  return typeof table === 'object' && table !== null ? (table as TomlTable) : null
}
