/** Selects the pods that `pod/NAME`, `deployment/NAME` and the like mean to kubectl. */
import { BerthError } from '../../errors.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import type { KubeObject } from '../../kube/object.ts'
import { matchesSelector, parseLabelSelector } from '../../decision/labels/label-selector.ts'
import { member } from '../../json/json.ts'

/** Kinds with a pod selector, by each name that kubectl accepts. */
const workloads: Readonly<
  Record<string, { readonly apiVersion: string; readonly resource: string }>
> = Object.fromEntries(
  [
    { apiVersion: 'apps/v1', resource: 'deployments', names: ['deployment', 'deploy'] },
    { apiVersion: 'apps/v1', resource: 'statefulsets', names: ['statefulset', 'sts'] },
    { apiVersion: 'apps/v1', resource: 'daemonsets', names: ['daemonset', 'ds'] },
    { apiVersion: 'apps/v1', resource: 'replicasets', names: ['replicaset', 'rs'] },
    { apiVersion: 'batch/v1', resource: 'jobs', names: ['job'] },
  ].flatMap(({ apiVersion, resource, names }) =>
    [...names, resource].map((name) => [name, { apiVersion, resource }]),
  ),
)

/** Returns a predicate for the named pods; without names, for every pod. Throws `usage` for an unknown kind or object, and KubeError. */
export async function podFilter(
  api: KubeApi,
  namespace: string | undefined,
  names: readonly string[],
): Promise<(pod: KubeObject) => boolean> {
  if (names.length === 0) return () => true
  const predicates = await Promise.all(
    names.map((name) => podPredicate(api, namespace ?? 'default', name)),
  )
  return (pod) => predicates.some((isSelected) => isSelected(pod))
}

async function podPredicate(
  api: KubeApi,
  namespace: string,
  target: string,
): Promise<(pod: KubeObject) => boolean> {
  const [kind = '', name = ''] = target.includes('/') ? target.split('/', 2) : ['pod', target]
  if (['pod', 'pods', 'po'].includes(kind.toLowerCase())) return (pod) => pod.metadata.name === name
  const workload = Object.hasOwn(workloads, kind.toLowerCase())
    ? workloads[kind.toLowerCase()]
    : undefined
  if (workload === undefined)
    throw new BerthError(
      'usage',
      `${target}: berth diagnose does not know the kind ${kind}; use pod/NAME or one of ${Object.keys(workloads).join(', ')}`,
    )
  const object = await api.get({ ...workload, namespace, name })
  if (object === null)
    throw new BerthError('usage', `${kind} ${name} does not exist in namespace ${namespace}`)
  const selector = parseLabelSelector(member(member(object, 'spec'), 'selector'))
  return ({ metadata }) => matchesSelector(selector, metadata.labels ?? {})
}
