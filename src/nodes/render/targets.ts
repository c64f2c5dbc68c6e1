/** The targets that Berth renders files for, by the name of `--target`. */
import { bottlerocket } from './bottlerocket.ts'
import { containerd, microk8s } from './containerd.ts'
import { crio } from './crio.ts'
import { k3s, rke2 } from './k3s.ts'
import { openshift } from './openshift.ts'
import { registryProxy } from './registry-proxy.ts'
import { talos } from './talos.ts'
import type { Target } from './target.ts'

export const targets = {
  containerd,
  microk8s,
  k3s,
  rke2,
  crio,
  openshift,
  talos,
  bottlerocket,
  'registry-proxy': registryProxy,
} as const satisfies Record<string, Target>

export type TargetName = keyof typeof targets
