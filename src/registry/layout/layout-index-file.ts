/** Keeps the index.json of an image layout while a run reads and changes it. */
import { RegistryError } from '../http/registry-error.ts'
import { failed } from '../http/network-error.ts'
import { maxManifestBytes } from '../manifests/manifest-json.ts'
import { explainFileError } from './file-errors.ts'
import type { LayoutFiles } from './layout-files.ts'
import { formatLayoutIndex, isSameEntry, type LayoutEntry } from './layout-index.ts'

export interface LayoutIndexFile {
  readonly entries: readonly LayoutEntry[]
  /** Adds an entry, or replaces the one with the same name. Throws RegistryError. */
  put(entry: LayoutEntry): Promise<void>
}

/** What the layout had when it was opened. */
export interface StoredIndex {
  readonly entries: readonly LayoutEntry[]
  /** False without the file oci-layout. */
  readonly hasMarker: boolean
}

const version = Buffer.from('{"imageLayoutVersion":"1.0.0"}')

export function createLayoutIndexFile(
  files: LayoutFiles,
  { entries: initial, hasMarker }: StoredIndex,
): LayoutIndexFile {
  let entries = initial
  let isMarked = hasMarker
  /** Files are replaced one after the other. */
  let last: Promise<unknown> = Promise.resolve()

  const write = async (): Promise<void> => {
    const bytes = formatLayoutIndex(entries)
    if (bytes.length > maxManifestBytes) {
      const detail = `index.json of ${files.name} would exceed 4 MiB; use another layout for some images`
      throw new RegistryError(failed('invalid', detail))
    }
    try {
      if (!isMarked) await files.replace('oci-layout', version)
      isMarked = true
      await files.replace('index.json', bytes)
    } catch (error) {
      throw explainFileError(error, files.name, 'index.json')
    }
  }

  return {
    get entries() {
      return entries
    },
    async put(entry) {
      const same = entries.find((each) => isSameEntry(each, entry))
      if (same?.digest === entry.digest) return
      entries = [...entries.filter((each) => each !== same), entry]
      const written = last.then(write, write)
      last = written
      await written
    },
  }
}
