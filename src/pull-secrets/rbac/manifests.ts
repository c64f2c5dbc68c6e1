/** Builds roles with bindings, and admission policies, for one service account. */

export interface PolicyRule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

/** The service account that gets the rights. */
export interface Grantee {
  readonly namespace: string
  readonly account: string
  /** For the label `app.kubernetes.io/component`. */
  readonly component: 'controller' | 'webhook'
}

/** The labels of all manifests, by which `berth uninstall` finds them. */
function labelsOf({ component }: Grantee): Readonly<Record<string, string>> {
  return { 'app.kubernetes.io/name': 'berth', 'app.kubernetes.io/component': component }
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

/** Returns a Role and its binding, or a ClusterRole and its binding when `metadata` has no namespace. */
export function roleWithBinding(
  grantee: Grantee,
  { name, namespace: scope }: { readonly name: string; readonly namespace?: string },
  rules: readonly PolicyRule[],
): readonly object[] {
  const { namespace, account } = grantee
  const labels = labelsOf(grantee)
  const metadata = { name, ...(scope === undefined ? {} : { namespace: scope }), labels }
  const prefix = scope === undefined ? 'Cluster' : ''
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
        name,
      },
      subjects: [{ kind: 'ServiceAccount', name: account, namespace }],
    },
  ]
}

export interface SecretPolicy {
  readonly name: string
  readonly operations: readonly string[]
  /** CEL: the Secrets that the account may write. */
  readonly expression: string
  readonly message: string
}

/** Returns a ValidatingAdmissionPolicy, and its binding, that restricts which Secrets the account writes. */
export function secretPolicy(
  grantee: Grantee,
  { name, operations, expression, message }: SecretPolicy,
): readonly object[] {
  const { account, namespace } = grantee
  const metadata = { name, labels: labelsOf(grantee) }
  const apiVersion = 'admissionregistration.k8s.io/v1'
  return [
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata,
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
      metadata,
      spec: { policyName: name, validationActions: ['Deny'] },
    },
  ]
}

/** Returns the names sorted, each once, so that the manifests do not depend on the order of the config. */
export function sortedUnique(names: readonly string[]): string[] {
  return [...new Set(names)].sort()
}
