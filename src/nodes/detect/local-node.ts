/** What a machine runs, told from its files: which target's files count there, and which of them are in force. */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parse as parseYaml } from 'yaml'
import { readContainerdConfig } from '../runtimes/containerd-config.ts'
import { type CertsDirectory, silentFaults } from '../runtimes/certs-d.ts'
import type { NodeState } from '../runtimes/node-route.ts'
import { readRegistriesConf } from '../runtimes/registries-conf.ts'
import { readRegistriesYaml } from '../runtimes/registries-yaml.ts'
import { type TargetName, targets } from '../targets/targets.ts'

export interface LocalNode {
  readonly target: TargetName
  /** Files that count, in the order in which they are read. */
  readonly files: readonly string[]
  readonly state: NodeState
  /** What the runtime passes over in silence, and what keeps it from pulling at all. */
  readonly findings: readonly string[]
}

type LocalTarget = 'containerd' | 'microk8s' | 'k3s' | 'rke2' | 'crio'

/** Before plain containerd, because each of these brings a containerd of its own along. */
const signs: readonly (readonly [LocalTarget, readonly string[]])[] = [
  ['microk8s', ['/var/snap/microk8s/current/args']],
  ['rke2', ['/etc/rancher/rke2', '/var/lib/rancher/rke2']],
  ['k3s', ['/etc/rancher/k3s', '/var/lib/rancher/k3s']],
  ['crio', ['/etc/crio', '/run/crio']],
  ['containerd', ['/etc/containerd', '/run/containerd/containerd.sock', '/usr/bin/containerd']],
]

/** The target whose files count below a root; null when there is no sign of any. */
export function detectTarget(root: string): LocalTarget | null {
  const found = signs.find(([, paths]) => paths.some((path) => existsSync(join(root, path))))
  return found?.[0] ?? null
}

/** Reads what is in force below a root. `directory` takes the place of the target's own, as `render --out` writes it. */
export function inspectLocalNode(
  root: string,
  target: LocalTarget,
  directory: string | null = null,
): LocalNode {
  const own = join(root, targets[target].directory ?? '')
  if (target === 'crio') return inspectCrio(directory ?? own)
  if (target === 'k3s' || target === 'rke2') return inspectK3s(target, directory ?? own)
  if (directory !== null) return inspectTrees(target, [join(directory, 'certs.d')], [])
  if (target === 'microk8s') return inspectTrees(target, [join(own, 'certs.d')], [])
  const files = containerdConfigFiles(root)
  const { configPaths, findings } = readContainerdConfig(
    files.map((file) => ({ name: file, text: readFileSync(file, 'utf8') })),
  )
  return inspectTrees(
    target,
    configPaths.map((path) => join(root, path)),
    findings,
    files,
  )
}

/** containerd's file and its drop-ins; `imports` with other places are rare enough to be named by hand. */
function containerdConfigFiles(root: string): string[] {
  const main = join(root, '/etc/containerd/config.toml')
  const dropIns = globSync(join(root, '/etc/containerd/conf.d/*.toml')).sort()
  return [main, ...dropIns].filter((file) => existsSync(file))
}

function inspectTrees(
  target: TargetName,
  directories: readonly string[],
  findings: readonly string[],
  read: readonly string[] = [],
): LocalNode {
  const trees = directories.map(readTree)
  const files = directories.flatMap((directory, index) =>
    [...(trees[index] ?? [])].flatMap(([name, text]) =>
      text === null ? [] : [join(directory, name, 'hosts.toml')],
    ),
  )
  const silent = trees.flatMap((tree, index) =>
    silentFaults(tree).map((line) => join(directories[index] ?? '', line)),
  )
  return {
    target,
    files: [...read, ...files],
    state: { kind: 'containerd', trees },
    findings: [...findings, ...silent],
  }
}

function readTree(directory: string): CertsDirectory {
  if (!existsSync(directory)) return new Map()
  const entries = readdirSync(directory, { withFileTypes: true }).filter((each) =>
    each.isDirectory(),
  )
  return new Map(
    entries
      .map(({ name }) => name)
      .sort()
      .map((name) => [name, readOrNull(join(directory, name, 'hosts.toml'))]),
  )
}

function readOrNull(file: string): string | null {
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}

function inspectCrio(directory: string): LocalNode {
  const dropIns = globSync(join(directory, 'registries.conf.d/*.conf')).sort((a, b) =>
    basename(a) < basename(b) ? -1 : 1,
  )
  const files = [join(directory, 'registries.conf'), ...dropIns].filter((file) => existsSync(file))
  const conf = readRegistriesConf(files.map((name) => ({ name, text: readFileSync(name, 'utf8') })))
  const fault =
    conf.fault === null ? [] : [`${conf.fault}; nothing can be pulled until it is mended`]
  return {
    target: 'crio',
    files,
    state: { kind: 'crio', conf },
    findings: [...fault, ...conf.ignored],
  }
}

function inspectK3s(target: 'k3s' | 'rke2', directory: string): LocalNode {
  const file = join(directory, 'registries.yaml')
  const text = readOrNull(file) ?? ''
  const configs = [
    join(directory, 'config.yaml'),
    ...globSync(join(directory, 'config.yaml.d/*.yaml')).sort(),
  ]
  const there = configs.filter((each) => existsSync(each))
  const findings = readRegistriesYaml(text).ignored.map(
    (each) => `${file}: ${target} ignores ${each}`,
  )
  return {
    target,
    files: [...(text === '' ? [] : [file]), ...there],
    state: { kind: 'k3s', text, closed: there.some(isClosed) },
    findings,
  }
}

/** The flag as a key of K3s' own config; on its command line it cannot be seen from here. */
function isClosed(file: string): boolean {
  try {
    const { 'disable-default-registry-endpoint': value } = parseYaml(
      readFileSync(file, 'utf8'),
    ) as Record<string, unknown>
    return value === true || value === 'true'
  } catch {
    return false
  }
}
