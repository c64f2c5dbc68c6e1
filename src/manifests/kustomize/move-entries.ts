/** Changes the entries of `images:`, so that `kustomize build` prints each image as the table rewrites it. */
import { jsonPointer } from '../../json/json-pointer.ts'
import type { JsonPatch } from '../../decision/pod/patch.ts'
import { applyEntry, type ImageEntry, isPlainName, matchesName, splitImage } from './image-entry.ts'
import type { PlacedEntry } from './kustomization.ts'

/** An image to which an entry applies. */
export interface EntryUse {
  /** As the rewritten files, bases and earlier entries have it. */
  readonly newIn: string
  /** What the changed entry must turn it into. */
  readonly target: string
}

/** The uses of one entry. */
export interface EntryPlan {
  readonly entry: PlacedEntry
  readonly uses: readonly EntryUse[]
  /** What the entry must turn images with its own name into, which a base that Berth cannot read may have; null if not known. */
  readonly ownTarget: string | null
  /** Whether images with the entry's own name may come from where Berth cannot read. */
  readonly keepsName: boolean
}

export interface MovedEntries {
  /** All entries, in order. */
  readonly entries: readonly ImageEntry[]
  /** The patch of the kustomization. */
  readonly patch: JsonPatch
}

/** Returns the moved entries of a kustomization, or why there are none. */
export function moveEntries(plans: readonly EntryPlan[]): MovedEntries | { problem: string } {
  const moved: ImageEntry[] = []
  const added: { entry: ImageEntry; list: string }[] = []
  const patch: JsonPatch[number][] = []
  for (const plan of plans) {
    const list = String(plan.entry.path[0])
    const variants = variantsOf(plan)
    const entries = variants.flatMap(([name, uses]) => moveEntry(plan, name, uses) ?? [])
    if (entries.length < variants.length) return { problem: conflictText(plan) }
    const isKept = entries.length === 0 || (plan.keepsName && entries[0]?.name !== plan.entry.name)
    const [own = plan.entry, ...others] = isKept ? [plan.entry, ...entries] : entries
    moved.push(own)
    patch.push(...entryPatch(plan.entry, own))
    for (const entry of others) added.push({ entry, list })
  }
  // An entry is not needed if an earlier one does the same.
  const isNew = ({ entry }: (typeof added)[number], index: number) =>
    added.findIndex((other) => isSame(other.entry, entry)) === index &&
    !moved.some((other) => isSame(other, entry))
  const kept = added.filter(isNew)
  for (const { entry, list } of kept)
    patch.push({ op: 'add', path: jsonPointer([list, '-']), value: membersOf(entry) })
  return { entries: [...moved, ...kept.map(({ entry }) => entry)], patch }
}

/** Returns the names that the entry needs, each with its uses. The first one stays at the place of the entry. */
function variantsOf({ entry, uses, ownTarget }: EntryPlan): [string, EntryUse[]][] {
  const variants = new Map<string, EntryUse[]>()
  if (ownTarget !== null) variants.set(entry.name, [{ newIn: entry.name, target: ownTarget }])
  for (const use of uses) {
    const name = matchesName(entry.name, use.newIn) ? entry.name : splitImage(use.newIn).name
    const known = variants.get(name)
    if (known === undefined) variants.set(name, [use])
    else known.push(use)
  }
  const own = variants.get(entry.name)
  if (own === undefined) return [...variants]
  return [[entry.name, own], ...[...variants].filter(([name]) => name !== entry.name)]
}

/** Returns the entry with another name that makes the targets; null if none does. */
function moveEntry(
  { entry, keepsName }: EntryPlan,
  name: string,
  uses: readonly EntryUse[],
): ImageEntry | null {
  const [first] = uses
  if (first === undefined || !isPlainName(name)) return null
  const target = splitImage(first.target)
  const isRenamed = entry.newName !== '' || target.name !== name
  const { newTag, tagSuffix, digest } = entry
  const renamed = { name, newName: isRenamed ? target.name : '', newTag, tagSuffix, digest }
  const retagged = { ...renamed, newTag: target.tag, digest: target.digest }
  // A new tag would also change images that Berth cannot read to another version.
  const mayRetag = tagSuffix === '' && !(keepsName && newTag === '' && digest === '')
  const candidates = [renamed, ...(mayRetag ? [retagged] : [])].filter(
    // A member is never removed.
    (each) => (newTag === '' || each.newTag !== '') && (digest === '' || each.digest !== ''),
  )
  return candidates.find((each) => uses.every((use) => makes(each, use))) ?? null
}

function makes(entry: ImageEntry, { newIn, target }: EntryUse): boolean {
  return matchesName(entry.name, newIn) && applyEntry(entry, newIn) === target
}

function conflictText({ entry, uses }: EntryPlan): string {
  const targets = [...new Set(uses.map(({ target }) => target))]
  const unnamed = targets
    .map((target) => splitImage(target).name)
    .find((name) => !isPlainName(name))
  if (unnamed !== undefined) return `kustomize cannot name the image ${unnamed} in images`
  return `one entry of images cannot make ${targets.slice(0, 3).join(' and ')}; give the entry ${entry.name} a newTag, or one entry for each image`
}

const members = ['name', 'newName', 'newTag', 'tagSuffix', 'digest'] as const

function isSame(one: ImageEntry, other: ImageEntry): boolean {
  return members.every((key) => one[key] === other[key])
}

export function membersOf(entry: ImageEntry): Record<string, string> {
  return Object.fromEntries(
    members.flatMap((key) => (entry[key] === '' ? [] : [[key, entry[key]]])),
  )
}

function entryPatch(before: PlacedEntry, after: ImageEntry): JsonPatch {
  return members.flatMap((key): JsonPatch[number][] => {
    if (before[key] === after[key]) return []
    const path = jsonPointer([...before.path, key])
    return [{ op: before[key] === '' ? 'add' : 'replace', path, value: after[key] }]
  })
}
