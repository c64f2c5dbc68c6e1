/** Writes tar archives whose bytes depend on their entries alone, so that images have reproducible digests. */
import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'

/** A regular file or a directory, owned by root. */
export interface TarEntry {
  /** Relative to the root of the image: `app/bin/berth.js`. */
  readonly path: string
  readonly mode: number
  /** Null for a directory. */
  readonly content: Buffer | null
}

/** The archive of these entries and of their parent directories, sorted by path, with every time set to zero. */
export async function createTar(entries: readonly TarEntry[]): Promise<Buffer> {
  const archive = pack()
  const sorted = withParents(entries).toSorted((a, b) => (a.path < b.path ? -1 : 1))
  for (const { path, mode, content } of sorted) {
    const header = { mode, uid: 0, gid: 0, mtime: new Date(0) }
    if (content === null) archive.entry({ ...header, name: `${path}/`, type: 'directory' })
    else archive.entry({ ...header, name: path, type: 'file' }, content)
  }
  archive.finalize()
  return buffer(archive)
}

function withParents(entries: readonly TarEntry[]): TarEntry[] {
  const all = new Map(entries.map((entry) => [entry.path, entry]))
  for (const { path } of entries) {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const directory = path.slice(0, end)
      if (!all.has(directory)) all.set(directory, { path: directory, mode: 0o755, content: null })
    }
  }
  return [...all.values()]
}
