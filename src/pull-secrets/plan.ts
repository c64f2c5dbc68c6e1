/** What has to be written in one namespace, and why: a pure function of what stands there. */
import type { Content, GoodContent } from './content.ts'
import type { AccountState, NamespaceMeta, ExistingSecret } from './objects.ts'
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
      readonly content: GoodContent
      readonly reason: string
    }
  | {
      readonly kind: 'update'
      readonly copy: string
      readonly content: GoodContent
      readonly was: Precondition
      /** Members that do not belong there. */
      readonly surplus: readonly string[]
      readonly reason: string
    }
  /** Removed and made again, where the API lets nobody change what is there. */
  | {
      readonly kind: 'replace'
      readonly copy: string
      readonly content: GoodContent
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
      readonly kind: 'link'
      readonly account: string
      readonly was: AccountState
      readonly add: readonly string[]
      readonly take: readonly string[]
      readonly reason: string
    }

/** What no write can mend. */
export interface CopyFinding {
  readonly kind: 'conflict' | 'invalid' | 'absent'
  readonly copy: string
  readonly reason: string
}

export interface NamespacePlan {
  /** In the order in which they are to be done: no account ever names a secret that is not there. */
  readonly writes: readonly SecretWrite[]
  readonly findings: readonly CopyFinding[]
}

export interface NamespaceInput {
  readonly name: string
  readonly namespace: NamespaceMeta
  readonly accounts: ReadonlyMap<string, AccountState>
  /** By name. */
  readonly secrets: ReadonlyMap<string, ExistingSecret>
}

/** What is wanted of one copy, with the content of its sources; null content: not known yet, so nothing is done. */
export interface WantedCopy {
  readonly settings: CopySettings
  readonly content: Content | null
}

/** Plans one namespace. */
export function planNamespace(
  wanted: readonly WantedCopy[],
  { name, namespace, accounts, secrets }: NamespaceInput,
): NamespacePlan {
  if (namespace.terminating) return { writes: [], findings: [] }
  const copies = wanted.map((each) =>
    planCopy(each, {
      name,
      labels: namespace.labels,
      there: secrets.get(each.settings.name) ?? null,
    }),
  )
  const links = [...accounts].flatMap(([account, state]) => planAccount(copies, account, state))
  const writes = copies.flatMap(({ write }) => write ?? [])
  return {
    writes: [
      ...writes.filter(({ kind }) => kind !== 'remove'),
      ...links,
      ...writes.filter(({ kind }) => kind === 'remove'),
    ],
    findings: copies.flatMap(({ finding }) => finding ?? []),
  }
}

/** Whether a copy belongs into a namespace; the reason, when it does not. */
export function exclusionOf(
  { namespaces, name, from }: Pick<CopySettings, 'namespaces' | 'name' | 'from'>,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): string | null {
  if (excludedNamespaces.has(namespace)) return 'nothing is copied to the control plane'
  if (from.some((source: SourceName) => source.namespace === namespace && source.name === name))
    return 'the source itself is there'
  if (labels[optOutLabel] === optOutValue) return 'the namespace opts out'
  return namespaces.matches(namespace, labels) ? null : 'the config does not choose the namespace'
}

interface CopyPlan {
  readonly settings: CopySettings
  /** Accounts should name it: it is there, or will be. `keep`: leave them as they are. */
  readonly links: 'yes' | 'no' | 'keep'
  readonly write: SecretWrite | null
  readonly finding: CopyFinding | null
}

function planCopy(
  { settings, content }: WantedCopy,
  {
    name,
    labels,
    there,
  }: { name: string; labels: NamespaceMeta['labels']; there: ExistingSecret | null },
): CopyPlan {
  const copy = settings.name
  const plan = (
    links: CopyPlan['links'],
    write: SecretWrite | null,
    finding: CopyFinding | null = null,
  ) => ({
    settings,
    links,
    write,
    finding,
  })
  const exclusion = exclusionOf(settings, name, labels)
  const isOurs = there?.kind === 'copy'
  if (exclusion !== null)
    return plan('no', isOurs ? { kind: 'remove', copy, was: there, reason: exclusion } : null)
  if (there?.kind === 'foreign') {
    const reason = `a secret ${name}/${copy} is there that is not a copy of Berth's; it is left as it is`
    return plan('no', null, { kind: 'conflict', copy, reason })
  }
  if (content === null) return plan('keep', null)
  switch (content.kind) {
    case 'absent':
      return plan(
        'no',
        isOurs ? { kind: 'remove', copy, was: there, reason: content.reason } : null,
        { kind: 'absent', copy, reason: content.reason },
      )
    case 'invalid':
      return plan(isOurs ? 'yes' : 'no', null, { kind: 'invalid', copy, reason: content.reason })
    case 'good':
      return plan('yes', there === null ? create(copy, content) : change(copy, content, there))
  }
}

function create(copy: string, content: GoodContent): SecretWrite {
  return { kind: 'create', copy, content, reason: `it is missing` }
}

/** Null for a copy that is as it should be. */
function change(
  copy: string,
  content: GoodContent,
  there: ExistingSecret & { kind: 'copy' },
): SecretWrite | null {
  const isSame = there.hash === content.hash && there.members[0] === content.member
  const isMarked =
    there.writtenHash === content.hash &&
    there.from === content.from.join(',') &&
    there.uids === content.uids.join(',') &&
    there.expiresAt === (content.expiresAt ?? '')
  if (there.type !== content.type)
    return {
      kind: 'replace',
      copy,
      content,
      was: there,
      reason: 'the type of the source has changed',
    }
  if (isSame && isMarked) return null
  const reason =
    there.writtenHash !== content.hash
      ? 'the source has changed'
      : isSame
        ? 'its marks are not those of its source'
        : 'it has been changed by somebody else'
  if (there.immutable && !isSame) return { kind: 'replace', copy, content, was: there, reason }
  const surplus = there.members.filter((member) => member !== content.member)
  return { kind: 'update', copy, content, was: there, surplus, reason }
}

function planAccount(
  copies: readonly CopyPlan[],
  account: string,
  was: AccountState,
): SecretWrite[] {
  const present = new Set(was.pullSecrets ?? [])
  const add: string[] = []
  const take: string[] = []
  for (const { settings, links } of copies) {
    const isWanted = links === 'yes' && settings.serviceAccounts.matches(account, was.labels)
    if (isWanted && !present.has(settings.name)) add.push(settings.name)
    if (!isWanted && links !== 'keep' && was.linked.includes(settings.name))
      take.push(settings.name)
  }
  if (add.length === 0 && take.length === 0) return []
  const parts = [
    ...(add.length === 0 ? [] : [`its list lacks ${add.join(', ')}`]),
    ...(take.length === 0 ? [] : [`${take.join(', ')} is not for it any more`]),
  ]
  return [{ kind: 'link', account, was, add, take, reason: parts.join('; ') }]
}
