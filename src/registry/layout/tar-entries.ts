/** Lists the files of a tar archive (POSIX ustar and pax, GNU) by their headers, without reading their content. */
import type { FileHandle } from 'node:fs/promises'
import { Header } from 'tar/header'
import { Pax } from 'tar/pax'

/** The block size of a tar archive, in bytes. A header is one block, and contents are padded to whole blocks. */
export const blockBytes = 512

export interface TarEntry {
  readonly path: string
  /** Where the header begins. */
  readonly headerAt: number
  /** Where the content begins. */
  readonly contentAt: number
  readonly size: number
}

export interface TarListing {
  /** The regular files, in their order. */
  readonly entries: readonly TarEntry[]
  /** Where the last complete entry ends, with its padding. */
  readonly end: number
  /** Why the archive cannot be read to its end; null if it can. */
  readonly problem: string | null
  /** True if the archive ends within an entry. */
  readonly isTruncated: boolean
}

/** Five times the number of blobs and manifests of 1,000 usual images. */
const maxEntries = 100_000

/** Extended headers hold long names and times. */
const maxExtensionBytes = 64 * 1024

/** The types of entries that describe the next one. */
const extensionTypes: ReadonlySet<string> = new Set([
  'ExtendedHeader',
  'OldExtendedHeader',
  'GlobalExtendedHeader',
  'NextFileHasLongPath',
  'OldGnuLongPath',
  'NextFileHasLongLinkpath',
])

const fileTypes: ReadonlySet<string> = new Set(['File', 'OldFile', 'ContiguousFile'])

/** Returns bytes rounded up to whole blocks. */
export function paddedSize(bytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes
}

/** Returns the header of a regular file. */
export function tarHeader(path: string, size: number): Buffer {
  const block = Buffer.alloc(blockBytes)
  const mtime = new Date(0)
  const header = new Header({ path, size, mode: 0o644, type: 'File', uid: 0, gid: 0, mtime })
  // A size over 8 GiB is written as a binary number, which GNU tar and Go read without the extended header that POSIX has.
  header.encode(block)
  return block
}

/** Lists an archive. An archive without an end-of-archive marker is not a problem. */
export async function listTar(file: FileHandle): Promise<TarListing> {
  const { size: fileSize } = await file.stat()
  const entries: TarEntry[] = []
  let extensions: Extensions = {}
  let at = 0
  for (let count = 0; at < fileSize; count++) {
    if (count === maxEntries) return listing(entries, at, `it has more than 100,000 entries`)
    const step = await readEntry(file, { at, fileSize, extensions })
    if (step === null) break
    if ('problem' in step) return { ...step, entries, end: at }
    extensions = step.extensions
    if (step.entry !== null) entries.push(step.entry)
    at = step.end
  }
  return listing(entries, at, null)
}

function listing(entries: readonly TarEntry[], end: number, problem: string | null): TarListing {
  return { entries, end, problem, isTruncated: false }
}

/** The extended headers that apply to the next entry, and to all. */
interface Extensions {
  readonly next?: Pax | undefined
  readonly global?: Pax | undefined
}

interface Position {
  readonly at: number
  readonly fileSize: number
  readonly extensions: Extensions
}

type Step =
  | Pick<TarListing, 'problem' | 'isTruncated'>
  | {
      /** Null for everything but a regular file. */
      readonly entry: TarEntry | null
      readonly extensions: Extensions
      readonly end: number
    }

/** Reads one header; null at the end of the archive. */
async function readEntry(file: FileHandle, position: Position): Promise<Step | null> {
  const { at, fileSize, extensions } = position
  const block = await readBytes(file, at, blockBytes)
  if (block === null) return problem(`it ends within the header at byte ${at}`, true)
  const header = decode(block, extensions)
  if (header?.nullBlock === true) return null
  if (header === null || !isValid(header)) return problem(`there is no tar header at byte ${at}`)
  const { size = 0, path = '', type } = header
  const contentAt = at + blockBytes
  if (contentAt + size > fileSize) {
    return problem(`it ends at byte ${fileSize}, within ${path} of ${size} bytes`, true)
  }
  const end = contentAt + paddedSize(size)
  if (!extensionTypes.has(type)) {
    const entry = { path: path.replace(/^\.\//, ''), headerAt: at, contentAt, size }
    const { global } = extensions
    return { entry: fileTypes.has(type) ? entry : null, extensions: { global }, end }
  }
  if (size > maxExtensionBytes) return problem(`the extended header at byte ${at} is too large`)
  const text = (await readBytes(file, contentAt, size))?.toString('utf8') ?? ''
  return { entry: null, extensions: extend(extensions, type, text), end }
}

function problem(text: string, isTruncated = false): Step {
  return { problem: text, isTruncated }
}

function extend({ next, global }: Extensions, type: string, text: string): Extensions {
  if (type === 'GlobalExtendedHeader') return { next, global: Pax.parse(text, global, true) }
  if (type.endsWith('ExtendedHeader')) return { next: Pax.parse(text, next), global }
  if (!type.endsWith('LongPath')) return { next, global }
  const path = text.replace(/\0.*$/s, '')
  return { next: new Pax({ ...next, path }), global }
}

function isValid({ size, cksumValid }: Header): boolean {
  // An extended header can state any number.
  return cksumValid && Number.isSafeInteger(size) && (size ?? -1) >= 0
}

/** Null if a number in the header is not valid. */
function decode(block: Buffer, { next, global }: Extensions): Header | null {
  try {
    return new Header(block, 0, next, global)
  } catch {
    return null
  }
}

/** Returns null if the file ends before. */
async function readBytes(file: FileHandle, at: number, size: number): Promise<Buffer | null> {
  const buffer = Buffer.alloc(size)
  for (let done = 0; done < size;) {
    const { bytesRead } = await file.read(buffer, done, size - done, at + done)
    if (bytesRead === 0) return null
    done += bytesRead
  }
  return buffer
}
