/** Reads the files that containerd reads for registries. */
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { SemVer } from 'semver'
import { readTextOrNull } from '../apply/atomic-files.ts'
import { type CertsDirectory, silentProblems } from '../read/certs-d.ts'
import { type ContainerdConfig, readContainerdConfig } from '../read/containerd-config.ts'
import type { ConfigFileSystem } from '../read/containerd-files.ts'
import { containerdVersion } from '../read/containerd-versions.ts'
import { readVersion } from '../render/target-version.ts'
import type { TargetName } from '../render/targets.ts'
import type { LocalNode } from './local-node.ts'

const main = '/etc/containerd/config.toml'
const dropIns = '/etc/containerd/conf.d/*.toml'

/** `containerd --version` answers in milliseconds. */
const versionTimeoutMs = 10_000

/** Reads the files below `root`. `version`: null to ask the containerd of this machine for it. */
export function inspectContainerd(root: string, version: SemVer | null): LocalNode {
  const system: ConfigFileSystem = {
    read: (path) => readTextOrNull(join(root, path)),
    glob: (pattern) =>
      globSync(join(root, pattern))
        .map((file) => join('/', file.slice(root.length)))
        .sort(),
  }
  const known = version ?? askVersion(root)
  const config = readContainerdConfig(
    main,
    system,
    known === null ? null : containerdVersion(known),
  )
  const directories = config.configPaths.map((path) => join(root, path))
  const node = inspectCertsDirectories('containerd', directories)
  return {
    target: 'containerd',
    files: [...config.files.map((file) => join(root, file)), ...node.files],
    state: { kind: 'containerd', trees: node.trees, fault: config.fault },
    findings: [...config.findings, ...unread(system, config), ...node.findings],
  }
}

/** Reports drop-ins where containerd 2.2 and later have them by convention, if the main file does not import them. */
function unread({ glob }: ConfigFileSystem, { files, fault }: ContainerdConfig): string[] {
  const others = fault === null ? glob(dropIns).filter((file) => !files.includes(file)) : []
  return others.map(
    (file) => `${file}: not read, because ${main} does not import it; add imports = ["${dropIns}"]`,
  )
}

/** Returns the version of the containerd of this machine; null for the files of another machine, or without one. */
function askVersion(root: string): SemVer | null {
  if (root !== '/') return null
  try {
    const text = execFileSync('containerd', ['--version'], {
      encoding: 'utf8',
      timeout: versionTimeoutMs,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return readVersion(/ v?(\d+\.\d+\.\d+\S*)/.exec(text)?.[1] ?? '')
  } catch {
    return null
  }
}

/** Reads directories with a directory for each registry. */
export function inspectCertsDirectories(
  target: TargetName,
  directories: readonly string[],
): LocalNode & { readonly trees: readonly CertsDirectory[] } {
  const read = directories.map((directory) => ({ directory, tree: readCertsDirectory(directory) }))
  const trees = read.map(({ tree }) => tree)
  return {
    target,
    trees,
    files: read.flatMap(({ directory, tree }) =>
      [...tree].flatMap(([name, text]) =>
        text === null ? [] : [join(directory, name, 'hosts.toml')],
      ),
    ),
    state: { kind: 'containerd', trees, fault: null },
    findings: read.flatMap(({ directory, tree }) =>
      silentProblems(tree).map((line) => `${directory}/${line}`),
    ),
  }
}

function readCertsDirectory(directory: string): CertsDirectory {
  if (!existsSync(directory)) return new Map()
  const names = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
  return new Map(
    names.sort().map((name) => [name, readTextOrNull(join(directory, name, 'hosts.toml'))]),
  )
}
