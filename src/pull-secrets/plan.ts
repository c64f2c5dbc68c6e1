/** Plans the writes for the copies in one namespace from the objects that exist there. Does no input or output. */
import { decideAdoption } from './adoption.ts'
import type { CopyContent, ValidContent } from './content.ts'
import type { AccountState, ExistingSecret, ForeignSecret, NamespaceMeta } from './objects.ts'
import { type LinkedCopy, planAccount } from './plan-links.ts'
import { optOutLabel, optOutValue } from './labels.ts'
import { type CopySettings, excludedNamespaces, type SourceName } from '../config/copy-settings.ts'

export interface Precondition {
  readonly uid: string
  readonly resourceVersion: string
}

export type SecretWrite =
  | {
      readonly kind: 'create'
      readonly copy: string
      readonly content: ValidContent
      readonly reason: string
    }
  | {
      readonly kind: 'update'
      readonly copy: string
      readonly content: ValidContent
      readonly was: Precondition
      /** Whether the stored content is right, so that only labels and annotations are written. */
      readonly hasSameData: boolean
      /** Whether Berth did not write the secret until now. */
      readonly isAdoption: boolean
      /** Keys in `data` that a copy does not have. */
      readonly surplus: readonly string[]
      /** Annotations by which another tool would still know the secret. */
      readonly surplusAnnotations: readonly string[]
      readonly reason: string
    }
  /** Deleted and created again, where the API server allows no update: the type, an immutable secret. */
  | {
      readonly kind: 'replace'
      readonly copy: string
      readonly content: ValidContent
      readonly was: Precondition
      readonly reason: string
    }
  | {
      readonly kind: 'remove'
      readonly copy: string
      readonly was: Precondition
      readonly reason: string
    }
  | {
      /** Adds names to a service account's imagePullSecrets, and removes names that Berth added. */
      readonly kind: 'link'
      readonly account: string
      readonly was: AccountState
      readonly add: readonly string[]
      readonly remove: readonly string[]
      readonly reason: string
    }

/** Why a copy is not as configured; `refused`: the API server refuses a write. */
export const findingKinds = ['conflict', 'invalid', 'absent', 'refused'] as const
export type FindingKind = (typeof findingKinds)[number]

/** A problem that no write can solve. */
export interface CopyFinding {
  readonly kind: FindingKind
  readonly copy: string
  readonly reason: string
  /** The object in the namespace that has the problem; null for a problem of the source. */
  readonly object: FindingObject | null
}

export interface FindingObject {
  readonly kind: 'Secret' | 'ServiceAccount'
  readonly name: string
  /** Undefined for an object that does not exist. */
  readonly uid: string | undefined
}

export interface NamespacePlan {
  /**
   * In the order of execution. Removals come first, so that nothing delays them. A service account names a copy after it is
   * created, and no longer names it when it is deleted.
   */
  readonly writes: readonly SecretWrite[]
  readonly findings: readonly CopyFinding[]
  /** The names of foreign secrets whose content has to be read before it is known what to do with them. */
  readonly unread: readonly string[]
}

export interface NamespaceInput {
  readonly name: string
  readonly namespace: NamespaceMeta
  readonly accounts: ReadonlyMap<string, AccountState>
  /** By name. */
  readonly secrets: ReadonlyMap<string, ExistingSecret>
}

/** One copy as the config wants it, with the content of its sources. Null content: not read yet, so nothing is written. */
export interface WantedCopy {
  readonly settings: CopySettings
  readonly content: CopyContent | null
}

/** Returns the writes and findings for one namespace; none for one that is being deleted. */
export function planNamespace(
  wanted: readonly WantedCopy[],
  { name, namespace, accounts, secrets }: NamespaceInput,
): NamespacePlan {
  if (namespace.isTerminating) return { writes: [], findings: [], unread: [] }
  const copies = wanted.map((each) =>
    planCopy(each, {
      name,
      labels: namespace.labels,
      existing: secrets.get(each.settings.name) ?? null,
    }),
  )
  const links = [...accounts].flatMap(([account, state]) => planAccount(copies, account, state))
  const writes = copies.flatMap(({ write }) => write ?? [])
  return {
    writes: [
      ...links.filter(({ remove }) => remove.length > 0),
      ...writes.filter(({ kind }) => kind === 'remove'),
      ...writes.filter(({ kind }) => kind !== 'remove'),
      ...links.filter(({ add }) => add.length > 0),
    ],
    findings: copies.flatMap(({ finding }) => finding ?? []),
    unread: copies.flatMap(({ settings, isUnread }) => (isUnread === true ? [settings.name] : [])),
  }
}

/** Returns why a copy does not belong in a namespace; null if it does. */
export function exclusionReason(
  { namespaces, name, from }: Pick<CopySettings, 'namespaces' | 'name' | 'from'>,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): string | null {
  if (excludedNamespaces.has(namespace)) return 'Berth copies nothing to the control plane'
  if (from.some((source: SourceName) => source.namespace === namespace && source.name === name))
    return 'the source itself is in this namespace'
  if (labels[optOutLabel] === optOutValue) return 'the namespace opts out'
  return namespaces.matches(namespace, labels) ? null : 'the config does not select the namespace'
}

interface CopyPlan extends LinkedCopy {
  readonly write: SecretWrite | null
  readonly finding: CopyFinding | null
  /** Whether a foreign secret with the name has to be read first. */
  readonly isUnread?: boolean
}

function planCopy(
  { settings, content }: WantedCopy,
  {
    name,
    labels,
    existing,
  }: {
    readonly name: string
    readonly labels: NamespaceMeta['labels']
    readonly existing: ExistingSecret | null
  },
): CopyPlan {
  const copy = settings.name
  const result = (
    links: CopyPlan['links'],
    write: SecretWrite | null,
    finding: CopyFinding | null = null,
  ): CopyPlan => ({ settings, links, write, finding })
  const exclusion = exclusionReason(settings, name, labels)
  const isCopy = existing?.kind === 'copy'
  if (exclusion !== null)
    return result('no', isCopy ? { kind: 'remove', copy, was: existing, reason: exclusion } : null)
  if (content === null) return result('keep', null)
  if (existing?.kind === 'foreign')
    return { settings, ...planForeign(copy, content, name, existing) }
  switch (content.kind) {
    case 'absent':
      return result(
        'no',
        isCopy ? { kind: 'remove', copy, was: existing, reason: content.reason } : null,
        { kind: 'absent', copy, reason: content.reason, object: null },
      )
    case 'invalid':
      return result(isCopy ? 'yes' : 'no', null, {
        kind: 'invalid',
        copy,
        reason: content.reason,
        object: null,
      })
    case 'valid':
      return result(
        'yes',
        existing === null ? planCreate(copy, content) : planUpdate(copy, content, existing),
      )
  }
}

function planForeign(
  copy: string,
  content: CopyContent,
  namespace: string,
  existing: ForeignSecret,
): Omit<CopyPlan, 'settings'> {
  const wanted = content.kind === 'valid' ? content : null
  const adoption = decideAdoption(existing, wanted, { namespace, name: copy })
  if (adoption.kind === 'conflict') {
    const object = { kind: 'Secret', name: copy, uid: existing.uid } as const
    const finding = { kind: 'conflict', copy, reason: adoption.reason, object } as const
    return { links: 'no', write: null, finding }
  }
  if (adoption.kind === 'unread' || wanted === null)
    return { links: 'keep', write: null, finding: null, isUnread: true }
  const { hasSameData } = adoption
  const write: SecretWrite = {
    kind: 'update',
    copy,
    content: wanted,
    was: existing,
    hasSameData,
    isAdoption: true,
    surplus: adoption.content.members.filter((member) => member !== wanted.member),
    surplusAnnotations: existing.tool?.annotations ?? [],
    reason: hasSameData
      ? 'adopts a secret with the content of the copy'
      : 'adopts a secret whose label allows it',
  }
  return { links: 'yes', write, finding: null }
}

function planCreate(copy: string, content: ValidContent): SecretWrite {
  return { kind: 'create', copy, content, reason: 'the copy is missing' }
}

/** Returns null for a copy that is up to date. */
function planUpdate(
  copy: string,
  content: ValidContent,
  existing: ExistingSecret & { kind: 'copy' },
): SecretWrite | null {
  const isSame = existing.hash === content.hash && existing.members[0] === content.member
  const isAnnotated =
    existing.writtenHash === content.hash &&
    existing.from === content.from.join(',') &&
    existing.uids === content.uids.join(',') &&
    existing.expiresAt === (content.expiresAt ?? '')
  if (existing.type !== content.type)
    return {
      kind: 'replace',
      copy,
      content,
      was: existing,
      reason: 'the type of the source has changed',
    }
  if (isSame && isAnnotated) return null
  const reason =
    existing.writtenHash !== content.hash
      ? 'the source has changed'
      : isSame
        ? 'its annotations differ from its source'
        : 'the copy was modified by someone else'
  if (existing.immutable && !isSame)
    return { kind: 'replace', copy, content, was: existing, reason }
  const surplus = existing.members.filter((member) => member !== content.member)
  const rest = { hasSameData: isSame, isAdoption: false, surplus, surplusAnnotations: [] }
  return { kind: 'update', copy, content, was: existing, ...rest, reason }
}
