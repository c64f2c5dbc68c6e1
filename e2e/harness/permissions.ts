/** The rights of an account. */
import { connect } from '../../src/kube/connect.ts'
import type { KubeObject } from '../../src/kube/object.ts'

type Rule = {
  verbs: string[]
  resources?: string[]
  resourceNames?: string[]
}

/**
 * Returns the rights of a kubeconfig's account in a namespace, without those of every account, in lines such as
 * `secrets [a,b]: get`.
 */
export async function permissionsIn(namespace: string, kubeconfig: string): Promise<string[]> {
  const connection = await connect({ kubeconfig, env: {} })
  const where = { apiVersion: 'authorization.k8s.io/v1', resource: 'selfsubjectrulesreviews' }
  const review = await connection.api.create<KubeObject & { status: { resourceRules: Rule[] } }>(
    where,
    {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectRulesReview',
      spec: { namespace },
    },
  )
  await connection.close()
  return review.status.resourceRules
    .filter(({ resources = [] }) => !/^(self|selfsubject)/.test(resources[0] ?? ''))
    .map(
      ({ verbs, resources = [], resourceNames = [] }) =>
        `${resources.join()}${resourceNames.length > 0 ? ` [${resourceNames.toSorted().join()}]` : ''}: ${verbs.join()}`,
    )
    .sort()
}
