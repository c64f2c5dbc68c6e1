/** Writes moved entries into a kustomization file, and describes what changed. */
import { deniedBy } from '../../decision/pod/site-warnings.ts'
import type { JsonPatch } from '../../decision/pod/patch.ts'
import type { SiteDecision } from '../../decision/pod/decide-sites.ts'
import { isLeft } from '../../decision/resolve/resolution.ts'
import { patchText } from '../patch-text.ts'
import type { ImageChange, ManifestNote } from '../decided-pod.ts'
import { nodeAt } from '../yaml-node.ts'
import type { Kustomization, PlacedEntry } from './kustomization.ts'
import type { KustomizeNode } from './load-graph.ts'

/** What an entry deploys, and what it becomes. */
export interface EntryDecision {
  readonly entry: PlacedEntry
  readonly index: number
  readonly decision: SiteDecision
}

export interface EditedKustomization {
  readonly text: string
  readonly images: readonly ImageChange[]
  readonly notes: readonly ManifestNote[]
  /** Images that a row denies. */
  readonly denied: readonly ManifestNote[]
  /** Why the kustomization and what it reads stay as they are. */
  readonly refused: readonly ManifestNote[]
}

/** Returns the message of a kustomization that stays as it is, because of its own problem or that of another one. */
export function refuseKustomization(
  { file, problems }: KustomizeNode,
  cause: { readonly name: string; readonly problem: string } | undefined,
): EditedKustomization {
  const unchanged = { text: file.text, images: [], notes: [], denied: [] }
  const rule = 'it and the files that it reads are not rewritten'
  const hint = 'try --kustomize-out, or rewrite the output of kustomize build'
  const [problem] = problems
  const why = problem ?? (cause === undefined ? '' : `${cause.name} is not rewritten either`)
  return { ...unchanged, refused: [note(null, `${rule}: ${why}; ${hint}`)] }
}

/** Returns the text of a kustomization with a patch; null if an anchor of the file prevents it. */
export function patchKustomization(
  { kustomization, file }: KustomizeNode,
  patch: JsonPatch,
): string | null {
  const { manifests } = kustomization
  const [document] = manifests.documents
  return document === undefined || patch.length === 0
    ? file.text
    : patchText(manifests, [{ document, patch }])
}

export interface KustomizationEdit {
  readonly text: string
  readonly decisions: readonly EntryDecision[]
  /** Images that stay, because they are where Berth does not write. */
  readonly unwritten: readonly string[]
}

export function describeEdit(
  { kustomization, unread }: KustomizeNode,
  { text, decisions, unwritten }: KustomizationEdit,
): EditedKustomization {
  const images = decisions.map(({ entry, index, decision }): ImageChange => ({
    line: lineOf(kustomization, entry),
    object: 'kustomization',
    namespace: kustomization.namespace ?? 'default',
    site: `images/${index}`,
    from: decision.requested,
    to: decision.image,
    row: decision.resolution?.row ?? null,
    why: decision.why,
    pinned: decision.resolution === null || decision.resolution.chosen.digest !== null,
    left: decision.resolution !== null && isLeft(decision.resolution),
    undecidedRows: decision.resolution?.undecidedRows ?? [],
  }))
  const denied = decisions.flatMap(({ entry, decision }): ManifestNote[] => {
    const message = deniedBy([decision])
    return message === null
      ? []
      : [note(lineOf(kustomization, entry), message.replace(/^berth: /, ''))]
  })
  const notes = [...unreadNotes(unread), ...unwrittenNotes(unwritten)]
  return { text, images: distinctChanges(images), notes, denied, refused: [] }
}

function note(line: number | null, message: string): ManifestNote {
  return { line, object: 'kustomization', message }
}

const maxListed = 5

function unreadNotes(unread: readonly string[]): ManifestNote[] {
  if (unread.length === 0) return []
  const message = `cannot follow ${listText([...new Set(unread)])}: their images are rewritten only by entries of images with a newTag or digest`
  return [note(null, message)]
}

function unwrittenNotes(images: readonly string[]): ManifestNote[] {
  if (images.length === 0) return []
  const message = `images of patches, and of files that are not given, stay as they are: ${listText(images)}; entries of images can rewrite them`
  return [note(null, message)]
}

export function listText(items: readonly string[]): string {
  const more = items.length - maxListed
  return [...items.slice(0, maxListed), ...(more > 0 ? [`${more} more`] : [])].join(', ')
}

function lineOf({ manifests }: Kustomization, { path }: PlacedEntry): number | null {
  const [document] = manifests.documents
  const node = document === undefined ? null : nodeAt(document, path)
  return node?.range ? manifests.lineOf(node.range[0]) : null
}

/** Returns one change for each image of an entry, however often it is deployed. */
function distinctChanges(images: readonly ImageChange[]): ImageChange[] {
  return [
    ...new Map(images.map((each) => [[each.site, each.from, each.to].join(' '), each])).values(),
  ]
}
