/** Detects which runtime a machine runs, and reads the files that this runtime reads. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SemVer } from 'semver'
import { parse as parseYaml } from 'yaml'
import { member } from '../../json/json.ts'
import { readTextOrNull } from '../apply/atomic-files.ts'
import type { NodeState } from '../read/node-route.ts'
import { readRegistriesYaml } from '../read/registries-yaml.ts'
import { type TargetName, targets } from '../render/targets.ts'
import { inspectCertsDirectories, inspectContainerd } from './containerd-node.ts'
import { inspectCrio } from './crio-node.ts'

export interface LocalNode {
  readonly target: TargetName
  /** The files that the runtime reads, in order. */
  readonly files: readonly string[]
  readonly state: NodeState
  /** Problems: what the runtime ignores without a message, and what makes pulls fail. */
  readonly findings: readonly string[]
}

type LocalTarget = 'containerd' | 'microk8s' | 'k3s' | 'rke2' | 'crio'

/** The paths that show which target a machine is. Plain containerd is last, because MicroK8s, K3s and RKE2 bring their own containerd. */
const targetPaths: readonly (readonly [LocalTarget, readonly string[]])[] = [
  ['microk8s', ['/var/snap/microk8s/current/args']],
  ['rke2', ['/etc/rancher/rke2', '/var/lib/rancher/rke2']],
  ['k3s', ['/etc/rancher/k3s', '/var/lib/rancher/k3s']],
  ['crio', ['/etc/crio', '/run/crio']],
  ['containerd', ['/etc/containerd', '/run/containerd/containerd.sock', '/usr/bin/containerd']],
]

/** Returns the target of the machine whose files are below `root`; null if no path of a target exists. */
export function detectTarget(root: string): LocalTarget | null {
  const found = targetPaths.find(([, paths]) => paths.some((path) => existsSync(join(root, path))))
  return found?.[0] ?? null
}

export interface InspectOptions {
  /** Replaces the target's directory, to read what `render --out` wrote. */
  readonly directory?: string | undefined
  /** The version of the runtime; null if it is not known. */
  readonly version: SemVer | null
}

/** Reads the files below `root`. */
export function inspectLocalNode(
  root: string,
  target: LocalTarget,
  { directory, version }: InspectOptions,
): LocalNode {
  const targetDirectory = directory ?? join(root, targets[target].directory ?? '')
  switch (target) {
    case 'crio':
      return inspectCrio(root, targetDirectory, version)
    case 'k3s':
    case 'rke2':
      return inspectK3s(target, targetDirectory)
    case 'microk8s':
      return inspectCertsDirectories(target, [join(targetDirectory, 'certs.d')])
    case 'containerd':
      return directory === undefined
        ? inspectContainerd(root, version)
        : inspectCertsDirectories(target, [join(directory, 'certs.d')])
  }
}

function inspectK3s(target: 'k3s' | 'rke2', directory: string): LocalNode {
  const file = join(directory, 'registries.yaml')
  const text = readTextOrNull(file) ?? ''
  const configs = [
    join(directory, 'config.yaml'),
    ...globSync(join(directory, 'config.yaml.d/*.yaml')).sort(),
  ].filter((each) => existsSync(each))
  const { fault, findings } = readRegistriesYaml(text)
  return {
    target,
    files: [...(text === '' ? [] : [file]), ...configs],
    state: { kind: 'k3s', text, closed: configs.some(disablesDefaultEndpoint) },
    findings: [...(fault === null ? [] : [fault]), ...findings].map((each) => `${file}: ${each}`),
  }
}

/** Reads the flag from a K3s config file. On the command line of K3s, it is not visible here. */
function disablesDefaultEndpoint(file: string): boolean {
  try {
    const value = member(parseYaml(readFileSync(file, 'utf8')), 'disable-default-registry-endpoint')
    return value === true || value === 'true'
  } catch {
    return false
  }
}
