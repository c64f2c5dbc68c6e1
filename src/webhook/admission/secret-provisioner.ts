/** What admission needs to create pull secrets before it admits the pod that names them. */
export interface SecretProvisioner {
  /** True for the names of secrets that it creates. */
  covers(secret: string): boolean
  /** Creates the secret if the namespace lacks it. Never rejects; fails when the signal aborts first. Not for dry runs. */
  ensure(namespace: string, secret: string, signal: AbortSignal): Promise<ProvisionResult>
}

/** `not-covered`: the config does not copy the secret to this namespace. `failed`: not created, or not in time. */
export type ProvisionResult = 'present' | 'not-covered' | 'failed'
