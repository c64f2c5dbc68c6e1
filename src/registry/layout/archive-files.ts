/**
 * Reads and writes the files of an image layout in a tar archive. Blobs are read and written in place, several at a time, so
 * no archive and no layer is in memory, or on the disk twice. An incomplete file has the name of a placeholder.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { BerthError } from '../../errors.ts'
import { type LayoutFiles, readRange, writeAt } from './layout-files.ts'
import { blockBytes, listTar, paddedSize, type TarEntry, tarHeader } from './tar-entries.ts'
import { describeFileError } from '../../files/describe-file-error.ts'

/** The name of a file that is incomplete or was replaced. A file of the same size can reuse its place. */
const placeholder = '.berth-incomplete'

/** Two empty blocks mark the end of an archive. */
const endBytes = 2 * blockBytes

export interface ArchiveOptions {
  /** False: the archive is only read. */
  readonly isWritable: boolean
}

/** An archive and where its files are. */
interface Archive {
  readonly path: string
  /** Null as long as the file does not exist. */
  file: FileHandle | null
  /** Settles when the file can be written. Null before the first write. */
  ready: Promise<FileHandle> | null
  readonly entries: Map<string, TarEntry>
  /** The placeholders that nothing is being written to. */
  readonly free: TarEntry[]
  /** The end of the last entry. */
  end: number
}

/** Opens an archive, which need not exist yet. Throws `layout-invalid` if it is damaged or truncated. */
export async function openArchiveFiles(
  path: string,
  { isWritable }: ArchiveOptions,
): Promise<LayoutFiles> {
  const archive = await openArchive(path, isWritable)
  const small = new Map<string, Buffer>()
  return {
    name: `oci-archive:${path}`,
    isEmpty: archive.entries.size === 0,
    size: (name) => Promise.resolve(archive.entries.get(name)?.size ?? null),
    async *read(name, offset) {
      const entry = archive.entries.get(name)
      if (entry === undefined || archive.file === null) return
      const { contentAt, size } = entry
      yield* readRange(archive.file, contentAt + offset, contentAt + size)
    },
    write: (name, size, content) => writeEntry(archive, { name, size }, content),
    replace(name, bytes) {
      small.set(name, bytes)
      return Promise.resolve()
    },
    async close() {
      try {
        for (const [name, bytes] of small) {
          await writeEntry(archive, { name, size: bytes.length, isNew: true }, once(bytes))
        }
        if (archive.ready !== null) await writeEnd(archive)
      } finally {
        await archive.file?.close()
      }
    },
  }
}

async function openArchive(path: string, isWritable: boolean): Promise<Archive> {
  const file = await openFile(path, isWritable)
  const archive = { path, file, ready: null, entries: new Map(), free: [], end: 0 }
  if (file === null) return archive
  try {
    const { entries, end, problem, isTruncated } = await listTar(file)
    // A killed run leaves an incomplete entry at the end. The next run overwrites it.
    if (problem !== null && !(isWritable && isTruncated)) {
      const fix = isTruncated ? 'copy it again' : 'it may be compressed or damaged'
      throw new BerthError(
        'layout-invalid',
        `${path} is not a complete archive: ${problem}; ${fix}`,
      )
    }
    if (isWritable) await rejectOtherFile(path, file, entries)
    return {
      ...archive,
      end,
      entries: new Map(entries.map((entry) => [entry.path, entry])),
      free: entries.filter((entry) => entry.path === placeholder),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** GNU tar pads an archive without files to this size. */
const emptyArchiveBytes = 10 * 1024

/** Throws `layout-invalid` for a file that is not an image layout, and not what a killed run has left: writing would destroy it. */
async function rejectOtherFile(
  path: string,
  file: FileHandle,
  entries: readonly TarEntry[],
): Promise<void> {
  const isOfLayout = (entry: TarEntry) =>
    entry.path === 'oci-layout' || entry.path === placeholder || entry.path.startsWith('blobs/')
  if (entries.some(isOfLayout)) return
  const start = Buffer.alloc(emptyArchiveBytes)
  await file.read(start, 0, start.length, 0)
  const { size } = await file.stat()
  const isKilledRun = start.toString('latin1', 0, placeholder.length) === placeholder
  const isEmpty = size <= emptyArchiveBytes && start.every((byte) => byte === 0)
  if (isKilledRun || isEmpty) return
  const reason = 'the file has other content, and no file oci-layout; choose another name'
  throw new BerthError('layout-invalid', `no image layout at ${path}: ${reason}`)
}

async function openFile(path: string, isWritable: boolean): Promise<FileHandle | null> {
  try {
    const file = await open(path, isWritable ? 'r+' : 'r')
    if ((await file.stat()).isFile()) return file
    await file.close()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return null
    if (code !== 'EISDIR') {
      throw new BerthError(
        'layout-invalid',
        `${path} cannot be opened: ${describeFileError(error)}`,
        { cause: error },
      )
    }
  }
  throw new BerthError('layout-invalid', `${path} is not a file; use oci:DIR for a directory`)
}

interface EntryToWrite {
  readonly name: string
  readonly size: number
  /** True: an entry with this name stays until the new one is complete. */
  readonly isNew?: boolean
}

async function writeEntry(
  archive: Archive,
  { name, size, isNew = false }: EntryToWrite,
  content: AsyncIterable<Buffer>,
): Promise<void> {
  archive.ready ??= prepare(archive)
  const file = await archive.ready
  const old = archive.entries.get(name)
  if (old !== undefined && !isNew) {
    archive.entries.delete(name)
    await release(archive, old)
  }
  const region = reserve(archive, size)
  try {
    await writeAt(file, tarHeader(placeholder, size), region.headerAt)
    let offset = 0
    for await (const chunk of content) {
      if (offset + chunk.length > size) throw new Error(`${name} is longer than its ${size} bytes`)
      await writeAt(file, chunk, region.contentAt + offset)
      offset += chunk.length
    }
    if (offset < size) throw new Error(`${name} is shorter than its ${size} bytes`)
    await writeAt(file, tarHeader(name, size), region.headerAt)
  } catch (error) {
    archive.free.push(region)
    throw error
  }
  archive.entries.set(name, { ...region, path: name })
  if (old !== undefined && isNew) await release(archive, old)
}

/** Creates the file, or removes what a killed run has left after the last complete entry. */
async function prepare(archive: Archive): Promise<FileHandle> {
  archive.file ??= await open(archive.path, 'wx+')
  await archive.file.truncate(archive.end)
  return archive.file
}

/** Turns an entry into a placeholder. */
async function release({ file, free }: Archive, { size, ...entry }: TarEntry): Promise<void> {
  if (file !== null) await writeAt(file, tarHeader(placeholder, size), entry.headerAt)
  free.push({ ...entry, size, path: placeholder })
}

/** Returns a placeholder of this size, or the place after the last entry. */
function reserve(archive: Archive, size: number): TarEntry {
  const index = archive.free.findIndex((entry) => entry.size === size)
  const [free] = index === -1 ? [] : archive.free.splice(index, 1)
  if (free !== undefined) return free
  const headerAt = archive.end
  const contentAt = headerAt + blockBytes
  archive.end = contentAt + paddedSize(size)
  return { path: placeholder, headerAt, contentAt, size }
}

/** Removes placeholders at the end, and marks the end of the archive. */
async function writeEnd(archive: Archive): Promise<void> {
  const { file, free } = archive
  if (file === null) return
  for (;;) {
    const last = free.findIndex(({ contentAt, size }) => {
      return contentAt + paddedSize(size) === archive.end
    })
    const [entry] = last === -1 ? [] : free.splice(last, 1)
    if (entry === undefined) break
    archive.end = entry.headerAt
  }
  await file.truncate(archive.end)
  await file.truncate(archive.end + endBytes)
  await file.datasync()
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, void> {
  yield await Promise.resolve(bytes)
}
