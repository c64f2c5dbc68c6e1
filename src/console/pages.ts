/** Keeps the latest sections and images, and sends each change to the open pages. */
import type { ImageRow, ImagesChange, Sections } from './wire.ts'

export type SectionName = keyof Sections

/** Receives the JSON of a section, or of a change of the images. */
export type Receive = (name: SectionName | 'images', json: string) => void

export interface Pages {
  /** Whether a page is open. */
  isWatched(): boolean
  /** Sends the whole state, then each change, until the returned function is called. */
  subscribe(receive: Receive): () => void
  /** Sends a section if it differs from the last one. */
  send<Name extends SectionName>(name: Name, section: Sections[Name]): void
  sendImages(rows: ReadonlyMap<string, ImageRow>): void
}

/** Creates the pages of one console, without any data. */
export function createPages(): Pages {
  const receivers = new Set<Receive>()
  const sections = new Map<SectionName, string>()
  let texts: ReadonlyMap<string, string> = new Map()
  let current: ReadonlyMap<string, ImageRow> = new Map()
  const sendAll = (name: SectionName | 'images', json: string) => {
    for (const receive of receivers) receive(name, json)
  }
  const whole = (): ImagesChange => ({ isAll: true, changed: [...current.values()], removed: [] })
  return {
    isWatched: () => receivers.size > 0,
    subscribe(receive) {
      for (const [name, json] of sections) receive(name, json)
      receive('images', JSON.stringify(whole()))
      receivers.add(receive)
      return () => receivers.delete(receive)
    },
    send(name, section) {
      const json = JSON.stringify(section)
      if (sections.get(name) === json) return
      sections.set(name, json)
      sendAll(name, json)
    },
    sendImages(rows) {
      const now = new Map([...rows].map(([id, row]) => [id, JSON.stringify(row)]))
      const changed = [...rows.values()].filter(({ id }) => texts.get(id) !== now.get(id))
      const removed = [...texts.keys()].filter((id) => !now.has(id))
      texts = now
      current = rows
      if (changed.length === 0 && removed.length === 0) return
      const change: ImagesChange = { isAll: false, changed, removed }
      sendAll('images', JSON.stringify(change))
    },
  }
}
