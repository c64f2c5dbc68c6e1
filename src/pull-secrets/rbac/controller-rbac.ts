/** Builds the least RBAC with which the controller can do what a config asks for. */
import type { CopySettings } from '../../config/copy-settings.ts'
import {
  type Grantee,
  type PolicyRule,
  roleWithBinding,
  rule,
  secretPolicy,
  sortedUnique,
} from './manifests.ts'

export interface ControllerRbacInput extends Grantee {
  readonly copies: readonly CopySettings[]
  readonly stuckPods: 'report' | 'recreate'
  /** The namespaces that get a Role each; null for one ClusterRole. */
  readonly scopes: readonly string[] | null
  /** The name of the Lease for leader election. */
  readonly lease: string
}

/**
 * Returns the manifests of roles, bindings and an admission policy. Rights to Secrets are restricted to names wherever
 * Kubernetes can do that: `resourceNames` restricts a list or watch by its field selector `metadata.name` (apiserver,
 * RequestInfo). Only `create` cannot be restricted. Service accounts are also read one by one, after a conflict.
 */
export function controllerRbac(input: ControllerRbacInput): readonly object[] {
  const { copies, scopes, namespace } = input
  const name = 'berth-pull-secrets'
  const sources = Map.groupBy(
    copies.flatMap(({ from }) => from),
    (source) => source.namespace,
  )
  const targetRoles =
    scopes === null
      ? roleWithBinding(input, { name }, [
          ...targetRules(input, copies),
          rule('', ['namespaces'], ['list', 'watch']),
        ])
      : scopes.flatMap((scope) => {
          const here = copies.filter(({ namespaces }) => namespaces.matches(scope, {}))
          return roleWithBinding(input, { name, namespace: scope }, [
            ...targetRules(input, here),
            rule('', ['namespaces'], ['get'], [scope]),
          ])
        })
  return [
    ...targetRoles,
    ...[...sources].flatMap(([from, list]) =>
      roleWithBinding(input, { name: `${name}-source`, namespace: from }, [
        rule('', ['secrets'], ['list', 'watch'], sortedUnique(list.map((source) => source.name))),
      ]),
    ),
    ...roleWithBinding(input, { name: `${name}-lease`, namespace }, [
      rule('coordination.k8s.io', ['leases'], ['create']),
      rule('coordination.k8s.io', ['leases'], ['get', 'update'], [input.lease]),
    ]),
    ...pullSecretPolicy(input, name),
  ]
}

/**
 * An account that may create and read Secrets can get the token of any service account in the namespace. RBAC cannot restrict
 * `create` to a type of Secret, so an admission policy does.
 */
function pullSecretPolicy(input: ControllerRbacInput, name: string): readonly object[] {
  return secretPolicy(input, {
    name,
    operations: ['CREATE', 'UPDATE'],
    expression: `object.type in ['kubernetes.io/dockerconfigjson', 'kubernetes.io/dockercfg'] || (request.namespace == '${input.namespace}' && object.type != 'kubernetes.io/service-account-token')`,
    message: 'this account may write only pull secrets',
  })
}

function targetRules(
  { stuckPods }: ControllerRbacInput,
  copies: readonly CopySettings[],
): PolicyRule[] {
  const names = sortedUnique(copies.map(({ name }) => name))
  const accounts = copies.map(({ serviceAccounts }) => serviceAccounts.exactNames)
  const literal = accounts.every((each) => each !== null)
    ? sortedUnique(accounts.flat())
    : undefined
  return [
    rule('', ['secrets'], ['list', 'watch', 'patch', 'delete'], names),
    rule('', ['secrets'], ['create']),
    rule('', ['serviceaccounts'], ['get', 'list', 'watch']),
    ...(literal?.length === 0 ? [] : [rule('', ['serviceaccounts'], ['patch'], literal)]),
    rule('', ['pods'], ['list', 'watch']),
    ...(stuckPods === 'recreate' ? [rule('', ['pods/eviction'], ['create'])] : []),
    rule('', ['events'], ['create']),
  ]
}
