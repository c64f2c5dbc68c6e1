/** Does what a plan says, one write at a time. For the controller and for `berth secrets sync`. */
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject, ResourceRef } from '../../kube/object.ts'
import { accountPatch, copyBody, copyPatch } from '../secret-manifests.ts'
import {
  type AccountState,
  type ExistingSecret,
  type RawAccount,
  type RawSecret,
  readAccount,
  readCopy,
} from '../objects.ts'
import type { Precondition, SecretWrite } from '../plan.ts'

export interface WriteDependencies {
  readonly api: KubeApi
  /** Waited for before each request that writes. */
  readonly turn: (signal: AbortSignal) => Promise<void>
  readonly signal: AbortSignal
}

/** What stands there afterwards; null for what is gone. */
export type Written =
  | { readonly kind: 'secret'; readonly name: string; readonly now: ExistingSecret | null }
  | { readonly kind: 'account'; readonly name: string; readonly now: AccountState | null }

type Secret = RawSecret & KubeObject
type Account = RawAccount & KubeObject

/** Somebody else writes the same account all the time: with a few milliseconds between reading and writing, ten tries are plenty. */
const linkTries = 10

/** Throws KubeError: 409 when somebody else has changed a secret since it was looked at, 403 without the right to write. */
export async function execute(
  dependencies: WriteDependencies,
  namespace: string,
  write: SecretWrite,
): Promise<Written> {
  if (write.kind === 'link') return link(dependencies, namespace, write)
  const { api, turn, signal } = dependencies
  const secrets: ResourceRef = { apiVersion: 'v1', resource: 'secrets', namespace }
  const where = { ...secrets, name: write.copy }
  const written = (secret: Secret | null): Written => ({
    kind: 'secret',
    name: write.copy,
    now: secret === null ? null : readCopy(secret),
  })
  await turn(signal)
  switch (write.kind) {
    case 'create':
      return written(await api.create(secrets, copyBody(write, namespace, new Date()), { signal }))
    case 'update':
      return written(await api.patch(where, 'merge', copyPatch(write, new Date()), { signal }))
    case 'replace':
      await api.delete(where, preconditionOf(write.was), { signal })
      await turn(signal)
      return written(await api.create(secrets, copyBody(write, namespace, new Date()), { signal }))
    case 'remove':
      await api.delete(where, preconditionOf(write.was), { signal })
      return written(null)
  }
}

function preconditionOf({ uid, resourceVersion }: Precondition): Precondition {
  return { uid, resourceVersion }
}

/** Reads again and tries again while others change the account: what they put there is never lost. */
async function link(
  { api, turn, signal }: WriteDependencies,
  namespace: string,
  { account, was, add, take }: SecretWrite & { kind: 'link' },
): Promise<Written> {
  const where: ResourceRef = {
    apiVersion: 'v1',
    resource: 'serviceaccounts',
    namespace,
    name: account,
  }
  let now: AccountState | null = was
  for (let tries = 1; ; tries++) {
    const adds = add.filter((name) => !(now?.pullSecrets ?? []).includes(name))
    const takes = take.filter((name) => now?.linked.includes(name))
    if (now === null || adds.length + takes.length === 0)
      return { kind: 'account', name: account, now }
    await turn(signal)
    try {
      const patched = await api.patch<Account>(where, 'json', accountPatch(now, adds, takes), {
        signal,
      })
      return { kind: 'account', name: account, now: readAccount(patched) }
    } catch (error) {
      // 422: a `test` of the patch does not hold. 409: it did not hold any more when it was stored.
      if (!hasStatus(error, 409, 422) || tries === linkTries) throw error
      const fresh = await api.get<Account>(where, { signal })
      now = fresh === null ? null : readAccount(fresh)
    }
  }
}
