/** What the benchmarks of the controller in a large cluster share. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '../../e2e/harness/cluster.ts'
import { createKubeconfig } from '../../e2e/harness/kubeconfig.ts'
import { applyTo } from './webhooks.ts'

/**
 * Creates a service account that may do everything; returns its kubeconfig. API Priority and Fairness limits its requests,
 * unlike those of the administrator.
 */
export async function createControllerAdmin(cluster: Cluster, namespace: string): Promise<string> {
  const name = 'berth-controller'
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' } // prettier-ignore
  const objects = [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'berth-bench' },
      roleRef,
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    },
  ]
  for (const object of objects) await applyTo(cluster, JSON.stringify(object))
  return createKubeconfig(name, namespace)
}

/** Waits until a check returns true; returns how many milliseconds that took. */
export async function until(check: () => Promise<boolean>, everyMs: number): Promise<number> {
  const started = performance.now()
  while (!(await check())) await sleep(everyMs)
  return performance.now() - started
}
