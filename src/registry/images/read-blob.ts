/** Reads a blob that fits into memory, such as the config of an image. */
import { isDigest } from '../../decision/reference/parse.ts'
import { member, textMember } from '../../json/json.ts'
import type { BlobDescriptor } from '../blobs/blob-source.ts'
import { shortDigest } from '../digest.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import type { ImageRepository } from './image-store.ts'

export interface ReadBlobOptions {
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/** Returns the bytes of a blob, with the right digest. Throws RegistryError. */
export async function readBlob(
  repository: ImageRepository,
  blob: BlobDescriptor,
  { maxBytes, signal }: ReadBlobOptions,
): Promise<Buffer> {
  if (blob.size > maxBytes) {
    const detail = `blob ${shortDigest(blob.digest)} exceeds ${maxBytes} bytes`
    throw new RegistryError(failed('invalid', detail))
  }
  const chunks: Buffer[] = []
  for await (const chunk of repository.blobSource(blob, { signal }).read(0)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Returns the descriptor in a manifest; null if it is not one. */
export function readDescriptor(value: unknown): BlobDescriptor | null {
  const digest = textMember(value, 'digest')
  const size = member(value, 'size')
  const isSize = typeof size === 'number' && Number.isSafeInteger(size) && size >= 0
  return isDigest(digest) && isSize ? { digest, size } : null
}
