/** The narrowest RBAC with which the controller can do what a config asks for. */
import type { CopySettings } from '../config/copy-settings.ts'

interface PolicyRule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

export interface RightsInput {
  readonly copies: readonly CopySettings[]
  readonly stuckPods: 'report' | 'recreate'
  /** Where the service account of the controller is. */
  readonly namespace: string
  readonly account: string
  /** Namespaces with a Role each; null: one ClusterRole. */
  readonly scopes: readonly string[] | null
}

type Grantee = Pick<RightsInput, 'namespace' | 'account'>

/**
 * Roles and bindings as manifests. Secrets are named wherever Kubernetes can hold a right to names: a list or watch is
 * held to `resourceNames` by its field selector `metadata.name` (apiserver, RequestInfo); only `create` cannot be.
 */
export function rightsOf(input: RightsInput): readonly object[] {
  const { copies, scopes, namespace } = input
  const name = 'berth-pull-secrets'
  const sources = Map.groupBy(
    copies.flatMap(({ from }) => from),
    (source) => source.namespace,
  )
  const targets =
    scopes === null
      ? [
          ...grant(input, { name }, [
            ...targetRules(input, copies),
            rule('', ['namespaces'], ['get', 'list', 'watch']),
          ]),
        ]
      : scopes.flatMap((scope) => {
          const here = copies.filter(({ namespaces }) => namespaces.matches(scope, {}))
          return grant(input, { name, namespace: scope }, [
            ...targetRules(input, here),
            rule('', ['namespaces'], ['get'], [scope]),
          ])
        })
  return [
    ...targets,
    ...[...sources].flatMap(([from, list]) =>
      grant(input, { name: `${name}-source`, namespace: from }, [
        rule('', ['secrets'], ['get', 'list', 'watch'], unique(list.map((source) => source.name))),
      ]),
    ),
    ...grant(input, { name: `${name}-lease`, namespace }, [
      rule('coordination.k8s.io', ['leases'], ['get', 'create', 'update', 'patch']),
    ]),
    ...guard(input, name),
  ]
}

/**
 * Who may create a Secret and read it may have the token of any service account made in it: the right to create cannot
 * be held to a type by RBAC, so an admission policy holds it.
 */
function guard(input: RightsInput, name: string): readonly object[] {
  return policy(input, {
    name,
    operations: ['CREATE', 'UPDATE'],
    expression: `object.type in ['kubernetes.io/dockerconfigjson', 'kubernetes.io/dockercfg'] || (request.namespace == '${input.namespace}' && object.type != 'kubernetes.io/service-account-token')`,
    message: 'this account writes pull secrets alone',
  })
}

/** An admission policy, and its binding, that holds an account's writing of Secrets to a rule. */
export function policy(
  { account, namespace }: Grantee,
  {
    name,
    operations,
    expression,
    message,
  }: {
    readonly name: string
    readonly operations: readonly string[]
    readonly expression: string
    readonly message: string
  },
): readonly object[] {
  const apiVersion = 'admissionregistration.k8s.io/v1'
  return [
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name },
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: {
          resourceRules: [
            { apiGroups: [''], apiVersions: ['v1'], operations, resources: ['secrets'] },
          ],
        },
        matchConditions: [
          {
            name: 'berth',
            expression: `request.userInfo.username == 'system:serviceaccount:${namespace}:${account}'`,
          },
        ],
        validations: [{ expression, message }],
      },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name },
      spec: { policyName: name, validationActions: ['Deny'] },
    },
  ]
}

function targetRules({ stuckPods }: RightsInput, copies: readonly CopySettings[]): PolicyRule[] {
  const names = unique(copies.map(({ name }) => name))
  const accounts = copies.map(({ serviceAccounts }) => serviceAccounts.literal)
  const literal = accounts.every((each) => each !== null) ? unique(accounts.flat()) : undefined
  return [
    rule('', ['secrets'], ['get', 'list', 'watch', 'patch', 'delete'], names),
    rule('', ['secrets'], ['create']),
    rule('', ['serviceaccounts'], ['get', 'list', 'watch']),
    ...(literal?.length === 0 ? [] : [rule('', ['serviceaccounts'], ['patch'], literal)]),
    rule('', ['pods'], ['get', 'list', 'watch']),
    ...(stuckPods === 'recreate' ? [rule('', ['pods/eviction'], ['create'])] : []),
    rule('', ['events'], ['get', 'create']),
  ]
}

export function rule(
  group: string,
  resources: readonly string[],
  verbs: readonly string[],
  resourceNames?: readonly string[],
): PolicyRule {
  return {
    apiGroups: [group],
    resources,
    ...(resourceNames === undefined ? {} : { resourceNames }),
    verbs,
  }
}

/** A role, and its binding to the account. */
export function grant(
  { namespace: home, account }: Grantee,
  metadata: { readonly name: string; readonly namespace?: string },
  rules: readonly PolicyRule[],
): readonly object[] {
  const prefix = metadata.namespace === undefined ? 'Cluster' : ''
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  return [
    { apiVersion, kind: `${prefix}Role`, metadata, rules },
    {
      apiVersion,
      kind: `${prefix}RoleBinding`,
      metadata,
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: `${prefix}Role`,
        name: metadata.name,
      },
      subjects: [{ kind: 'ServiceAccount', name: account, namespace: home }],
    },
  ]
}

export function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort()
}
