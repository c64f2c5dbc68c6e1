/** Adds and removes pull secrets in a service account's imagePullSecrets. */
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { ResourceRef } from '../../kube/object.ts'
import { type AccountState, type ServiceAccountObject, readAccount } from '../objects.ts'
import { type LinkChange, serviceAccountPatch } from '../service-account-patch.ts'

export interface LinkOptions {
  /** The account as it was last read; read first when left out. */
  readonly was?: AccountState
  /** Awaited before each write. */
  readonly beforeWrite?: () => Promise<void>
  readonly signal?: AbortSignal
  /** How often to wait for a Retry-After. Default: that of the client. */
  readonly maxRetries?: number
}

export interface LinkResult {
  /** False when the account needed no change. */
  readonly hasChanged: boolean
  /** Null for an account that does not exist. */
  readonly account: AccountState | null
}

/** Even with another writer that updates the account all the time, one of ten attempts fits between two updates. */
const maxAttempts = 10

/**
 * Applies the change, and reads the account and tries again when another client changes it meanwhile: entries of others are
 * never lost. Throws KubeError.
 */
export async function linkAccount(
  api: Pick<KubeApi, 'get' | 'patch'>,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  change: LinkChange,
  { was, beforeWrite, signal, maxRetries }: LinkOptions = {},
): Promise<LinkResult> {
  const ref: ResourceRef = { apiVersion: 'v1', resource: 'serviceaccounts', namespace, name }
  const options = {
    ...(signal === undefined ? {} : { signal }),
    ...(maxRetries === undefined ? {} : { maxRetries }),
  }
  const read = async () => {
    const object = await api.get<ServiceAccountObject>(ref, options)
    return object === null ? null : readAccount(object)
  }
  let account = was ?? (await read())
  for (let attempt = 1; ; attempt++) {
    const needed = neededChange(account, change)
    if (account === null || needed === null) return { hasChanged: false, account }
    await beforeWrite?.()
    try {
      const patch = serviceAccountPatch(account, needed)
      const patched = await api.patch<ServiceAccountObject>(ref, 'json', patch, options)
      return { hasChanged: true, account: readAccount(patched) }
    } catch (error) {
      // 422: a `test` of the patch failed. 409: the account changed before the patch was stored.
      if (!hasStatus(error, 409, 422) || attempt === maxAttempts) throw error
      account = await read()
    }
  }
}

/** Returns null when nothing is to be changed. Removes only names that Berth added. */
function neededChange(account: AccountState | null, change: LinkChange): LinkChange | null {
  const add = change.add.filter((name) => account?.pullSecrets?.includes(name) !== true)
  const remove = change.remove.filter((name) => account?.linked.includes(name))
  return add.length + remove.length === 0 ? null : { ...change, add, remove }
}
