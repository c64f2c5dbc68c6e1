/**
 * Where a Kubernetes object holds a pod: the object itself, or a pod template inside a workload. Reads raw objects, as
 * `sites.ts` does. Pure.
 */
import { member } from '../../json/json.ts'

/** Path of what holds `metadata` and `spec` of a pod, as members of the object; empty for a Pod itself. */
export type PodPath = readonly string[]

const template: PodPath = ['spec', 'template']

/** Built-in kinds, by API group and kind (kubernetes/pkg/apis/{core,apps,batch}/types.go); versions do not move it. */
const builtIn: Readonly<Record<string, PodPath>> = {
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

/** Where the object holds a pod; null for a kind that holds none. `more` adds kinds, keyed `group/Kind`. */
export function podPath(
  object: unknown,
  more: Readonly<Record<string, PodPath>> = {},
): PodPath | null {
  const apiVersion = member(object, 'apiVersion')
  const kind = member(object, 'kind')
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return null
  const key = `${groupOf(apiVersion)}/${kind}`
  if (Object.hasOwn(builtIn, key)) return builtIn[key] ?? null
  return Object.hasOwn(more, key) ? (more[key] ?? null) : null
}

/** The raw value at a path; undefined where it leads nowhere. */
export function valueAt(object: unknown, path: PodPath): unknown {
  return path.reduce<unknown>((value, key) => member(value, key), object)
}

/** `apps` of `apps/v1`; empty for the core group's `v1`. */
function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/')
  return slash === -1 ? '' : apiVersion.slice(0, slash)
}
