/** What admission asks about the namespace of a pod. Each answer may be null, "not known"; then nothing is held back. */
export interface NamespaceLookup {
  /** True if the namespace has this Secret. */
  hasSecret(namespace: string, name: string, signal: AbortSignal): Promise<boolean | null>
  /**
   * The Secrets that pods of this service account may use (`kubernetes.io/enforce-mountable-secrets`); `all` when the account
   * does not restrict them.
   */
  mountableSecrets(
    namespace: string,
    serviceAccount: string,
    signal: AbortSignal,
  ): Promise<ReadonlySet<string> | 'all' | null>
}

/** For processes without a cluster: nothing is known. */
export const noNamespaceLookup: NamespaceLookup = {
  hasSecret: () => Promise.resolve(null),
  mountableSecrets: () => Promise.resolve(null),
}
