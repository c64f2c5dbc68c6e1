/** The narrowest RBAC with which the webhook can make sure of copies, and what holds its right to create to their names. */
import { grant, policy, rule, unique } from './rbac.ts'
import type { CopySettings } from '../config/copy-settings.ts'

export interface WebhookRightsInput {
  readonly copies: readonly CopySettings[]
  /** Where the service account of the webhook is. */
  readonly namespace: string
  readonly account: string
  /** Namespaces with a Role each; null: one ClusterRole. */
  readonly scopes: readonly string[] | null
}

/**
 * Empty unless a copy says `ensure`. The webhook reads sources, by name, and namespaces, for their labels; it creates
 * copies, and can neither read nor change one.
 */
export function webhookRightsOf(input: WebhookRightsInput): readonly object[] {
  const copies = input.copies.filter(({ ensure }) => ensure)
  if (copies.length === 0) return []
  const { scopes, namespace } = input
  const name = 'berth-ensure-pull-secrets'
  const sources = Map.groupBy(
    copies.flatMap(({ from }) => from),
    (source) => source.namespace,
  )
  const chosen = copies.map(({ namespaces }) => namespaces.literal)
  const literal = chosen.every((each) => each !== null) ? unique(chosen.flat()) : null
  const targets =
    scopes === null
      ? grant(input, { name }, [
          rule('', ['secrets'], ['create']),
          rule('', ['namespaces'], ['get'], literal ?? undefined),
        ])
      : (literal ?? []).flatMap((scope) =>
          grant(input, { name, namespace: scope }, [
            rule('', ['secrets'], ['create']),
            rule('', ['namespaces'], ['get'], [scope]),
          ]),
        )
  return [
    ...targets,
    ...[...sources].flatMap(([from, list]) =>
      grant(input, { name: `${name}-source`, namespace: from }, [
        rule('', ['secrets'], ['get'], unique(list.map((source) => source.name))),
      ]),
    ),
    ...policy(input, {
      name,
      operations: ['CREATE'],
      expression: `${allowed(copies, literal)} || (request.namespace == '${namespace}' && object.type == 'kubernetes.io/tls')`,
      message: 'this account creates the pull secrets of its config alone',
    }),
  ]
}

/** The last part of the rule lets Berth make a certificate of its own. */
function allowed(copies: readonly CopySettings[], literal: readonly string[] | null): string {
  const list = (names: readonly string[]) => `[${names.map((name) => `'${name}'`).join(', ')}]`
  const parts = [
    `object.type in ['kubernetes.io/dockerconfigjson', 'kubernetes.io/dockercfg']`,
    `object.metadata.name in ${list(unique(copies.map(({ name }) => name)))}`,
    ...(literal === null ? [] : [`request.namespace in ${list(literal)}`]),
  ]
  return `(${parts.join(' && ')})`
}
