/** Options that the verbs of `berth nodes` share. */
import { Option } from 'commander'
import type { TargetName } from '../nodes/render/targets.ts'
import { configOption } from './options.ts'

export type LocalTarget = 'containerd' | 'microk8s' | 'k3s' | 'rke2' | 'crio'

/** Targets that are files on a machine. */
const localTargets: readonly LocalTarget[] = ['containerd', 'microk8s', 'k3s', 'rke2', 'crio']

export const allTargets: readonly TargetName[] = [
  ...localTargets,
  'openshift',
  'talos',
  'bottlerocket',
  'registry-proxy',
]

export interface RenderOptions {
  readonly config?: string
  readonly targetVersion?: string
  readonly airGap?: boolean
  readonly digestOnly?: boolean
  readonly allowPartial?: boolean
}

export function renderOptions(): Option[] {
  return [
    configOption(),
    new Option('--target-version <version>', 'version of the target, for example 1.7').default(
      undefined,
      'none, for files that every version reads',
    ),
    airGapOption().conflicts('digestOnly'),
    new Option('--digest-only', 'use mirrors for digests only, and resolve tags upstream'),
    new Option('--allow-partial', 'omit what the target cannot express, instead of failing'),
  ]
}

/** The version of a runtime whose files are read, and not written. */
export function runtimeVersionOption(): Option {
  return new Option(
    '--target-version <version>',
    'version of containerd or CRI-O, for example 2.1',
  ).default(undefined, 'unknown; for containerd, what containerd --version prints')
}

export function airGapOption(): Option {
  return new Option('--air-gap', 'never fall back to the upstream registry')
}

export function localTargetOption(): Option {
  return new Option('--target <name>', 'runtime or distribution')
    .choices(localTargets)
    .default(undefined, 'detected')
}

export function rootOption(): Option {
  return new Option(
    '--root <dir>',
    'directory where the root file system of the machine is mounted',
  ).default('/')
}
