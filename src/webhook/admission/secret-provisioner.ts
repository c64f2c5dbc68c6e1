/** Pull secrets that are made sure of before a pod is admitted. */

export interface SecretProvisioner {
  /** Whether it makes sure of secrets of this name at all. */
  covers(secret: string): boolean
  /** Makes the secret if the namespace lacks it. Never rejects, and gives up when the signal aborts. Not for dry runs. */
  ensure(namespace: string, secret: string, signal: AbortSignal): Promise<ProvisionResult>
}

/** `elsewhere`: the namespace is none of those that the secret belongs to. `failed`: not made, or not in time. */
export type ProvisionResult = 'there' | 'elsewhere' | 'failed'
