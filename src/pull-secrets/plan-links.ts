/** Plans which names service accounts get and lose in their imagePullSecrets. */
import type { CopySettings } from '../config/copy-settings.ts'
import type { AccountState } from './objects.ts'
import type { SecretWrite } from './plan.ts'

type LinkWrite = SecretWrite & { readonly kind: 'link' }

export interface LinkedCopy {
  readonly settings: CopySettings
  /** Whether service accounts should name the copy. `keep` leaves them as they are. */
  readonly links: 'yes' | 'no' | 'keep'
}

/** Names are added and removed by two writes, so that a refused addition does not delay a removal. */
export function planAccount(
  copies: readonly LinkedCopy[],
  account: string,
  was: AccountState,
): LinkWrite[] {
  const present = new Set(was.pullSecrets ?? [])
  const add: string[] = []
  const remove: string[] = []
  for (const { settings, links } of copies) {
    const isWanted = links === 'yes' && settings.serviceAccounts.matches(account, was.labels)
    if (isWanted && !present.has(settings.name)) add.push(settings.name)
    if (!isWanted && links !== 'keep' && was.linked.includes(settings.name))
      remove.push(settings.name)
  }
  return [
    ...(add.length === 0 ? [] : [addition(account, was, add)]),
    ...(remove.length === 0 ? [] : [removal(account, was, remove)]),
  ]
}

function addition(account: string, was: AccountState, add: readonly string[]): LinkWrite {
  const reason = `imagePullSecrets lacks ${add.join(', ')}`
  return { kind: 'link', account, was, add, remove: [], reason }
}

function removal(account: string, was: AccountState, remove: readonly string[]): LinkWrite {
  const reason = `the config no longer links ${remove.join(', ')} to this service account`
  return { kind: 'link', account, was, add: [], remove, reason }
}

/** Returns one write for each name that a link adds or removes, so that each can succeed by itself; else the write. */
export function splitLink(write: SecretWrite): readonly SecretWrite[] {
  if (write.kind !== 'link') return [write]
  const { account, was, add, remove } = write
  return [
    ...remove.map((name) => removal(account, was, [name])),
    ...add.map((name) => addition(account, was, [name])),
  ]
}

/** Returns the write without the links to copies that do not exist; null if nothing is left of it. */
export function withoutLinks(
  write: SecretWrite,
  isMissing: (copy: string) => boolean,
): SecretWrite | null {
  if (write.kind !== 'link' || !write.add.some(isMissing)) return write
  const add = write.add.filter((copy) => !isMissing(copy))
  return add.length === 0 ? null : addition(write.account, write.was, add)
}
