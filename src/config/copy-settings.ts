/** The settings of `pullSecretCopies`: which pull secrets are copied to which namespaces. */

/** Namespaces of the control plane. Berth copies nothing there: their pods must start first. */
export const excludedNamespaces: ReadonlySet<string> = new Set([
  'kube-system',
  'kube-public',
  'kube-node-lease',
])

export interface SourceName {
  readonly namespace: string
  readonly name: string
}

/** Selects namespaces or service accounts by name and labels. */
export interface NameSelector {
  matches(name: string, labels: Readonly<Record<string, string>>): boolean
  /** All names, if the selector has neither globs nor labels; null otherwise. */
  readonly exactNames: readonly string[] | null
  /** The names without wildcards; empty with a label selector. */
  readonly literalNames: readonly string[]
}

/** An entry of `pullSecretCopies.copies`. */
export interface CopySettings {
  /** The name of each copy. */
  readonly name: string
  readonly from: readonly SourceName[]
  readonly namespaces: NameSelector
  readonly serviceAccounts: NameSelector
  /** `keep`: the type of the source. */
  readonly type: 'keep' | 'dockerconfigjson'
  /** Whether the webhook creates a missing copy before it admits a pod that needs it. */
  readonly ensure: boolean
}

/** Returns `namespace/name`, as in the config and in annotations. */
export function formatSource({ namespace, name }: SourceName): string {
  return `${namespace}/${name}`
}
