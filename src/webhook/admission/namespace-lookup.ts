/** What admission would like to know of the pod's namespace. Each answer may be null: not known, and then nothing is held back. */
export interface NamespaceLookup {
  /** Whether the namespace holds this Secret. */
  hasSecret(namespace: string, name: string, signal: AbortSignal): Promise<boolean | null>
  /** Secrets that pods of this service account are confined to; `all` when it is not confined (`kubernetes.io/enforce-mountable-secrets`). */
  mountableSecrets(
    namespace: string,
    serviceAccount: string,
    signal: AbortSignal,
  ): Promise<ReadonlySet<string> | 'all' | null>
}

/** Without a cluster to ask, nothing is known. */
export const noNamespaceLookup: NamespaceLookup = {
  hasSecret: () => Promise.resolve(null),
  mountableSecrets: () => Promise.resolve(null),
}
