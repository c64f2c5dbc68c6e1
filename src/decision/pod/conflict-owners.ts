/**
 * The list of owners that recreate their pods because Berth changes the images (`conflicts: leave`). The controller writes it
 * to a ConfigMap, and the webhook reads it. Pure.
 */
import { isObject, member } from '../../json/json.ts'
import { groupKind } from './pod-context.ts'

/** The name of the ConfigMap in Berth's namespace, and the key of its data. */
export const conflictOwnersName = 'berth-image-conflicts'
export const conflictOwnersKey = 'owners.json'

export interface ConflictOwner {
  /** `GROUP/KIND`, without the version. */
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** When the controller found the conflict, in RFC 3339. */
  readonly since: string
  /** When the entry ends, in RFC 3339. */
  readonly until: string
}

/** A person adds a row for each owner, and would not review more. */
const maxConflictOwners = 100

/** In characters: 100 entries with the longest names that the API server accepts. */
const maxTextLength = 100_000
const maxMemberLength = 400

/** Returns the valid entries of the list. Ignores others, and a text that is too long or is not a list. */
export function readConflictOwners(text: string | undefined): readonly ConflictOwner[] {
  if (text === undefined || text.length > maxTextLength) return []
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch {
    return []
  }
  return Array.isArray(list) ? list.flatMap(readOwner).slice(0, maxConflictOwners) : []
}

function readOwner(value: unknown): readonly ConflictOwner[] {
  if (!isObject(value)) return []
  const [kind, namespace, name, uid, since, until] = (
    ['kind', 'namespace', 'name', 'uid', 'since', 'until'] as const
  ).map((key) => textMember(value, key))
  const isComplete = kind && namespace && name && uid && since && until
  if (!isComplete || Number.isNaN(Date.parse(since)) || Number.isNaN(Date.parse(until))) return []
  return [{ kind, namespace, name, uid, since, until }]
}

function textMember(value: unknown, key: string): string | null {
  const text = member(value, key)
  return typeof text === 'string' && text.length <= maxMemberLength ? text : null
}

/** Returns the text of a list. Leaves out entries that `readConflictOwners` would not read. */
export function writeConflictOwners(owners: readonly ConflictOwner[]): string {
  let kept = owners.filter((owner) => readOwner(owner).length > 0)
  for (;;) {
    // One entry in each line, for people who edit the ConfigMap.
    const text = `[${kept.map((owner) => `\n${JSON.stringify(owner)}`).join(',')}\n]\n`
    if (kept.length <= maxConflictOwners && text.length <= maxTextLength) return text
    kept = withoutOldest(kept)
  }
}

/** Drops the oldest entry of the namespace that has the most, so that one namespace cannot displace the owners of others. */
function withoutOldest(owners: readonly ConflictOwner[]): ConflictOwner[] {
  const byNamespace = Map.groupBy(owners, ({ namespace }) => namespace)
  const largest = [...byNamespace.values()].reduce((one, other) =>
    other.length > one.length ? other : one,
  )
  const oldest = largest.reduce((one, other) =>
    Date.parse(other.since) < Date.parse(one.since) ? other : one,
  )
  return owners.filter((owner) => owner !== oldest)
}

/** Returns the entries that have not ended. `now`: milliseconds since 1970. */
export function currentOwners(
  owners: readonly ConflictOwner[],
  now: number,
): readonly ConflictOwner[] {
  return owners.filter(({ until }) => Date.parse(until) > now)
}

/** Returns true if the controller among the owner references of a pod is in a list. */
export type IsConflictPod = (pod: unknown, namespace: string, now: number) => boolean

/** Returns the test for a list. Its time does not depend on the length of the list. */
export function createConflictTest(owners: readonly ConflictOwner[]): IsConflictPod {
  const untilByKey = new Map(
    owners.map((owner) => [conflictOwnerKey(owner), Date.parse(owner.until)]),
  )
  return (pod, namespace, now) => {
    if (untilByKey.size === 0) return false
    const key = controllerKey(pod, namespace)
    return key !== null && (untilByKey.get(key) ?? 0) > now
  }
}

/** Returns the key of the controller of a pod; null if it has none. */
function controllerKey(pod: unknown, namespace: string): string | null {
  const references = member(member(pod, 'metadata'), 'ownerReferences')
  if (!Array.isArray(references)) return null
  // The API server accepts one controller.
  const owner: unknown = references.find((each) => member(each, 'controller') === true)
  const [apiVersion, kind, name, uid] = ['apiVersion', 'kind', 'name', 'uid'].map((key) =>
    textMember(owner, key),
  )
  if (!apiVersion || !kind || !name || !uid) return null
  return conflictOwnerKey({ kind: groupKind(apiVersion, kind), namespace, name, uid })
}

/** Returns a text that identifies an owner. */
export function conflictOwnerKey({
  kind,
  namespace,
  name,
  uid,
}: Pick<ConflictOwner, 'kind' | 'namespace' | 'name' | 'uid'>): string {
  return JSON.stringify([kind, namespace, name, uid])
}
