/** Writes archives whose bytes depend on their entries alone. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { filesUnder } from '../../deploy/image/files.ts'
import { createTar, type TarEntry } from '../../deploy/image/tar.ts'

/** A tar.gz of these entries. zlib writes no time and no name. */
export async function createArchive(entries: readonly TarEntry[]): Promise<Buffer> {
  return gzipSync(await createTar(entries))
}

/** The files of a directory, under `prefix`. */
export function entriesOf(directory: string, prefix: string): TarEntry[] {
  return filesUnder(directory).map((name) => ({
    path: `${prefix}/${name}`,
    mode: 0o644,
    content: readFileSync(join(directory, name)),
  }))
}

/** Returns the entries, with text replaced in each of them. */
export function replaceText(entries: readonly TarEntry[], from: string, to: string): TarEntry[] {
  return entries.map((entry) => {
    const text = entry.content?.toString('utf8')
    return text?.includes(from) === true
      ? { ...entry, content: Buffer.from(text.replaceAll(from, to)) }
      : entry
  })
}
