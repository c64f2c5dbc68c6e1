/** Formats what `berth rewrite` says about objects of manifests. */
import { groupNotes, type PlacedNote } from '../../manifests/group-notes.ts'
import type { ManifestNote } from '../../manifests/decided-pod.ts'
import { escapeLine } from '../../text/escape-terminal.ts'

export interface FileNotes {
  readonly file: string
  readonly notes: readonly ManifestNote[]
}

/** Returns one line for each note. */
export function noteLines({ file, notes }: FileNotes): string[] {
  return notes.map((note) => noteText(placedNote(file, note), note.object))
}

/** Returns one line for all notes of a kind that say the same, and the full line for a note that is alone. */
export function groupedNoteLines(files: readonly FileNotes[]): string[] {
  const objects = new Map<PlacedNote, string>()
  for (const { file, notes } of files)
    for (const note of notes) objects.set(placedNote(file, note), note.object)
  return groupNotes([...objects.keys()]).map(({ count, about, message, places, first }) =>
    count === 1
      ? noteText(first, objects.get(first) ?? about)
      : escapeLine(`${count} ${pluralOf(about)}: ${message} (${places})`),
  )
}

function placedNote(file: string, { line, object, message }: ManifestNote): PlacedNote {
  const [kind = ''] = object.split(' ')
  return { place: line === null ? file : `${file}:${line}`, about: kind, message }
}

function noteText({ place, message }: PlacedNote, object: string): string {
  return escapeLine([place, ...(object === '' ? [] : [object]), message].join(': '))
}

/** Returns the plural of a kind without its group: `HelmReleases`. A values file has no kind. */
function pluralOf(kind: string): string {
  if (kind === '') return 'times'
  const name = kind.slice(kind.lastIndexOf('/') + 1)
  if (name.endsWith('s')) return `${name}es`
  return /[^aeiou]y$/.test(name) ? `${name.slice(0, -1)}ies` : `${name}s`
}
