/** Finds the pod in a Kubernetes object: the object itself, or the pod template of a workload. Pure. */
import { member } from '../../json/json.ts'
import { groupKind } from './pod-context.ts'

/** The path to the `metadata` and `spec` of a pod; empty for a Pod. */
export type PodPath = readonly string[]

const template: PodPath = ['spec', 'template']

/** Built-in kinds by API group and kind (kubernetes/pkg/apis/{core,apps,batch}/types.go). All versions have the same path. */
const builtInPaths: Readonly<Record<string, PodPath>> = {
  '/Pod': [],
  '/PodTemplate': ['template'],
  '/ReplicationController': template,
  'apps/Deployment': template,
  'apps/StatefulSet': template,
  'apps/DaemonSet': template,
  'apps/ReplicaSet': template,
  'batch/Job': template,
  'batch/CronJob': ['spec', 'jobTemplate', 'spec', 'template'],
}

/** Returns the path to the pod of an object of a built-in kind; null for any other kind. */
export function podPath(object: unknown): PodPath | null {
  const apiVersion = member(object, 'apiVersion')
  const kind = member(object, 'kind')
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return null
  const key = groupKind(apiVersion, kind)
  return Object.hasOwn(builtInPaths, key) ? (builtInPaths[key] ?? null) : null
}
