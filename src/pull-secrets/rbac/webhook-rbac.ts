/** Builds the least RBAC with which the webhook can create copies, and the policy that restricts what it creates. */
import type { CopySettings } from '../../config/copy-settings.ts'
import { type Grantee, roleWithBinding, rule, secretPolicy, sortedUnique } from './manifests.ts'

export interface WebhookRbacInput extends Grantee {
  readonly copies: readonly CopySettings[]
  /** The namespaces that get a Role each; null for one ClusterRole. */
  readonly scopes: readonly string[] | null
}

/**
 * Returns nothing unless a copy has `ensure`. The webhook gets sources by name, and namespaces for their labels; it creates
 * copies and can neither read nor change one.
 */
export function webhookRbac(input: WebhookRbacInput): readonly object[] {
  const copies = input.copies.filter(({ ensure }) => ensure)
  if (copies.length === 0) return []
  const { scopes, namespace } = input
  const name = 'berth-ensure-pull-secrets'
  const sources = Map.groupBy(
    copies.flatMap(({ from }) => from),
    (source) => source.namespace,
  )
  const selected = copies.map(({ namespaces }) => namespaces.exactNames)
  const literal = selected.every((each) => each !== null) ? sortedUnique(selected.flat()) : null
  const targetRoles =
    scopes === null
      ? roleWithBinding(input, { name }, [
          rule('', ['secrets'], ['create']),
          rule('', ['namespaces'], ['get'], literal ?? undefined),
        ])
      : (literal ?? []).flatMap((scope) =>
          roleWithBinding(input, { name, namespace: scope }, [
            rule('', ['secrets'], ['create']),
            rule('', ['namespaces'], ['get'], [scope]),
          ]),
        )
  return [
    ...targetRoles,
    ...[...sources].flatMap(([from, list]) =>
      roleWithBinding(input, { name: `${name}-source`, namespace: from }, [
        rule('', ['secrets'], ['get'], sortedUnique(list.map((source) => source.name))),
      ]),
    ),
    ...secretPolicy(input, {
      name,
      operations: ['CREATE'],
      // The second part lets Berth create the Secret of its own certificate.
      expression: `${copyExpression(copies, literal)} || (request.namespace == '${namespace}' && object.type == 'kubernetes.io/tls')`,
      message: 'this account may create only the pull secrets of its config',
    }),
  ]
}

function copyExpression(
  copies: readonly CopySettings[],
  namespaces: readonly string[] | null,
): string {
  const list = (names: readonly string[]) => `[${names.map((name) => `'${name}'`).join(', ')}]`
  const parts = [
    `object.type in ['kubernetes.io/dockerconfigjson', 'kubernetes.io/dockercfg']`,
    `object.metadata.name in ${list(sortedUnique(copies.map(({ name }) => name)))}`,
    ...(namespaces === null ? [] : [`request.namespace in ${list(namespaces)}`]),
  ]
  return `(${parts.join(' && ')})`
}
