/** Applies one planned write to the cluster. */
import type { RateLimiter } from '../../async/rate-limiter.ts'
import type { KubeApi, WriteOptions } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { ResourceRef } from '../../kube/object.ts'
import { type AccountState, type ExistingSecret, type SecretObject, readCopy } from '../objects.ts'
import type { Precondition, SecretWrite } from '../plan.ts'
import { copyManifest, copyPatch } from '../secret-manifests.ts'
import { linkAccount } from './link-account.ts'

export interface WriteDependencies {
  readonly api: KubeApi
  /** Acquired before each request that writes. */
  readonly limiter: Pick<RateLimiter, 'acquire'>
  readonly signal: AbortSignal
}

/** The object after the write; null when it does not exist. */
export type WriteResult =
  | { readonly kind: 'secret'; readonly name: string; readonly now: ExistingSecret | null }
  | { readonly kind: 'account'; readonly name: string; readonly now: AccountState | null }

/** A write that the API server delays is put aside soon, so that it does not delay others. */
const maxRetries = 1

/** Throws KubeError: 409 when another client changed the secret since it was read, 403 without the right to write. */
export async function applyWrite(
  { api, limiter, signal }: WriteDependencies,
  namespace: string,
  write: SecretWrite,
): Promise<WriteResult> {
  if (write.kind === 'link') {
    const { account: name, add, remove, was } = write
    const beforeWrite = () => limiter.acquire(signal)
    const change = { add, remove, isManaged: true }
    const options = { was, beforeWrite, signal, maxRetries }
    const { account } = await linkAccount(api, { namespace, name }, change, options)
    return { kind: 'account', name, now: account }
  }
  const secrets: ResourceRef = { apiVersion: 'v1', resource: 'secrets', namespace }
  const ref = { ...secrets, name: write.copy }
  const result = (secret: SecretObject | null): WriteResult => ({
    kind: 'secret',
    name: write.copy,
    now: secret === null ? null : readCopy(secret),
  })
  await limiter.acquire(signal)
  const options = { signal, maxRetries }
  switch (write.kind) {
    case 'create':
      return result(await api.create(secrets, copyManifest(write, namespace, new Date()), options))
    case 'update':
      return result(await api.patch(ref, 'merge', copyPatch(write, new Date()), options))
    case 'replace': {
      const manifest = copyManifest(write, namespace, new Date())
      await checkCreate(api, secrets, manifest, options)
      await limiter.acquire(signal)
      await api.delete(ref, preconditionOf(write.was), options)
      await limiter.acquire(signal)
      return result(await api.create(secrets, manifest, options))
    }
    case 'remove':
      await api.delete(ref, preconditionOf(write.was), options)
      return result(null)
  }
}

/** Throws if a policy refuses the new copy, so that the old one is not deleted for nothing. */
async function checkCreate(
  api: Pick<KubeApi, 'create'>,
  secrets: ResourceRef,
  manifest: object,
  options: WriteOptions,
): Promise<void> {
  try {
    await api.create(secrets, manifest, { ...options, dryRun: true })
  } catch (error) {
    // The old copy has the name. The API server checks policies first.
    if (!hasStatus(error, 409)) throw error
  }
}

function preconditionOf({ uid, resourceVersion }: Precondition): Precondition {
  return { uid, resourceVersion }
}
