/** Reads and writes the blobs of an image layout. Verifies digests on every read, and replaces damaged blobs. */
import { createHash } from 'node:crypto'
import { type BlobDescriptor, type BlobSource, createVerifiedSource } from '../blobs/blob-source.ts'
import { algorithmOf, digestLike, shortDigest } from '../digest.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import type { PutBlobOptions } from '../images/image-store.ts'
import { maxManifestBytes } from '../manifests/manifest-json.ts'
import { explainFileError } from './file-errors.ts'
import type { LayoutFiles } from './layout-files.ts'

/** The methods throw RegistryError. */
export interface LayoutBlobs {
  /** Returns whether the layout has the blob; with `verify`, also whether its digest is right. */
  has(blob: BlobDescriptor, signal: AbortSignal): Promise<boolean>
  source(blob: BlobDescriptor, signal: AbortSignal): BlobSource
  /** Writes a blob; if it is being written already, waits for that, and does not read `content`. */
  write(blob: BlobDescriptor, content: AsyncIterable<Buffer>): Promise<void>
  /** Writes a blob, unless another repository of the layout has it already. */
  put(blob: BlobDescriptor, options: PutBlobOptions): Promise<'mounted' | 'uploaded'>
  /** Returns a manifest; null if the layout does not have it, or if its content is damaged and can be replaced. */
  readManifest(digest: string): Promise<Buffer | null>
}

export interface LayoutBlobsOptions {
  /** True: reads a blob that exists to check its digest, once for each run. */
  readonly verify: boolean
  /** True: what is damaged can be replaced, so it counts as missing. */
  readonly isWritable: boolean
}

export function createLayoutBlobs(files: LayoutFiles, options: LayoutBlobsOptions): LayoutBlobs {
  const { name } = files
  /** The blobs that this run has written or checked. */
  const checks = new Map<string, Promise<boolean>>()
  /** The blobs that are being written, by path, and whether that succeeds. Two images of a run can have the same manifest. */
  const writes = new Map<string, Promise<boolean>>()

  const check = async (blob: BlobDescriptor, signal: AbortSignal): Promise<boolean> => {
    const path = blobPath(blob.digest)
    if ((await files.size(path)) !== blob.size) return false
    if (!options.verify) return true
    const hash = createHash(algorithmOf(blob.digest))
    for await (const chunk of files.read(path, 0)) {
      signal.throwIfAborted()
      hash.update(chunk)
    }
    return `${algorithmOf(blob.digest)}:${hash.digest('hex')}` === blob.digest
  }

  const blobs: LayoutBlobs = {
    has(blob, signal) {
      const key = `${blob.digest} ${blob.size}`
      const known = checks.get(key)
      if (known !== undefined) return known
      const checked = explain(check(blob, signal), name, `blob ${shortDigest(blob.digest)}`)
      checks.set(key, checked)
      return checked
    },
    source(blob, signal) {
      const read = (offset: number) => readBlob(files, blob, { offset, signal })
      return createVerifiedSource(blob, name, read)
    },
    async write(blob, content) {
      const [path, subject] = [blobPath(blob.digest), `blob ${shortDigest(blob.digest)}`]
      for (let other = writes.get(path); other !== undefined; other = writes.get(path))
        if (await other) return
      const writing = explain(files.write(path, blob.size, content), name, subject)
      writes.set(
        path,
        writing.then(
          () => true,
          () => false,
        ),
      )
      try {
        await writing
      } finally {
        writes.delete(path)
      }
      checks.set(`${blob.digest} ${blob.size}`, Promise.resolve(true))
    },
    async readManifest(digest) {
      const subject = `manifest ${shortDigest(digest)}`
      const bytes = await explain(readSmallFile(files, blobPath(digest)), name, subject)
      if (bytes === null || digestLike(digest, bytes) === digest) return bytes
      if (options.isWritable) return null
      throw invalid(`${subject} in ${name} does not match its digest`)
    },
    async put(blob, options) {
      if (options.mountFrom !== null && (await blobs.has(blob, options.signal))) return 'mounted'
      await copyInto(blobs, blob, options)
      return 'uploaded'
    },
  }
  return blobs
}

async function copyInto(
  blobs: LayoutBlobs,
  blob: BlobDescriptor,
  { open, signal, onBytes }: PutBlobOptions,
): Promise<void> {
  const source = await open()
  let written = 0
  async function* content(): AsyncGenerator<Buffer, void> {
    for await (const chunk of source.read(0)) {
      signal.throwIfAborted()
      written += chunk.length
      onBytes(chunk.length)
      yield chunk
    }
  }
  try {
    await blobs.write(blob, content())
  } catch (error) {
    onBytes(-written)
    throw error
  }
}

/** Returns a file of the size of a manifest at most; null if it does not exist. Throws RegistryError if it is larger. */
export async function readSmallFile(files: LayoutFiles, path: string): Promise<Buffer | null> {
  const size = await files.size(path)
  if (size === null) return null
  if (size > maxManifestBytes) throw invalid(`${path} in ${files.name} exceeds 4 MiB`)
  const chunks: Buffer[] = []
  for await (const chunk of files.read(path, 0)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** `isDigest` is true for every digest here, so the path stays below `blobs`. */
function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`
}

async function* readBlob(
  files: LayoutFiles,
  { digest, size }: BlobDescriptor,
  { offset, signal }: { readonly offset: number; readonly signal: AbortSignal },
): AsyncGenerator<Buffer, void> {
  const subject = `blob ${shortDigest(digest)}`
  const stored = await files.size(blobPath(digest))
  if (stored === null) {
    throw new RegistryError(failed('absent', `${files.name} does not have ${subject}`))
  }
  if (stored !== size) {
    throw invalid(`${subject} in ${files.name} has ${stored} bytes instead of ${size}`)
  }
  try {
    for await (const chunk of files.read(blobPath(digest), offset)) {
      signal.throwIfAborted()
      yield chunk
    }
  } catch (error) {
    throw explainFileError(error, files.name, subject)
  }
}

async function explain<Result>(
  work: Promise<Result>,
  name: string,
  subject: string,
): Promise<Result> {
  try {
    return await work
  } catch (error) {
    throw explainFileError(error, name, subject)
  }
}

function invalid(detail: string): RegistryError {
  return new RegistryError(failed('invalid', detail))
}
