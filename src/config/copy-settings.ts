/** `pullSecretCopies`: which pull secrets are copied where. */

/** The control plane's own namespaces: pods there must start before anything of ours does. */
export const excludedNamespaces: ReadonlySet<string> = new Set([
  'kube-system',
  'kube-public',
  'kube-node-lease',
])

export interface SourceName {
  readonly namespace: string
  readonly name: string
}

/** Which namespaces, or which service accounts. */
export interface NameSelector {
  matches(name: string, labels: Readonly<Record<string, string>>): boolean
  /** The names, where the choice is by literal names alone; null where it takes a look to know. */
  readonly literal: readonly string[] | null
  /** The names that are written out, beside globs too. */
  readonly named: readonly string[]
}

export interface CopySettings {
  /** Of every copy. */
  readonly name: string
  readonly from: readonly SourceName[]
  readonly namespaces: NameSelector
  readonly serviceAccounts: NameSelector
  /** `keep`: as the source is. */
  readonly type: 'keep' | 'dockerconfigjson'
  /** Whether the webhook makes the copy too, for a pod that is faster than the controller. */
  readonly ensure: boolean
}

/** `namespace/name`, as people and annotations write it. */
export function formatSource({ namespace, name }: SourceName): string {
  return `${namespace}/${name}`
}
