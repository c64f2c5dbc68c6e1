/** What the scenario needs to know about an engine of verification policies. */
export type PolicyEngine = {
  name: string
  /** The labels of namespaces whose pods it checks. */
  namespaceLabels: Record<string, string>
  /** Returns a policy for the images of these repositories: a host and a path without wildcards. */
  policy(repositories: readonly string[], publicKeyPem: string): object
  /** Applies a policy; returns when the engine has accepted it. */
  applyPolicy(policy: string | object): Promise<void>
  stop(): Promise<void>
}
