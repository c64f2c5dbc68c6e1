/** Groups equal notes, so that a directory with 69 HelmReleases gets one line instead of 69. */

export interface PlacedNote {
  /** For example `apps/web.yaml:3`. */
  readonly place: string
  /** What the note is about, for example a kind. Notes about different things stay apart. */
  readonly about: string
  readonly message: string
}

export interface NoteGroup {
  readonly about: string
  readonly message: string
  readonly count: number
  /** The first places, and the number of the others. */
  readonly places: string
  /** The first note of the group. */
  readonly first: PlacedNote
}

/** The number of places that a group lists. */
const maxPlaces = 3

/** Returns the groups in the order of their first notes. */
export function groupNotes(notes: readonly PlacedNote[]): NoteGroup[] {
  const groups = Map.groupBy(notes, ({ about, message }) => `${about}\n${message}`)
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { about, message } = first
    const places = group.slice(0, maxPlaces).map(({ place }) => place)
    const more = group.length - places.length
    const text = places.join(', ') + (more > 0 ? ` and ${more} more` : '')
    return [{ about, message, count: group.length, places: text, first }]
  })
}
