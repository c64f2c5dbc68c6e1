/** Checks whether a registry has every manifest and blob of an image that it serves. */
import { shortDigest } from '../registry/digest.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import type { ImageRepository } from '../registry/images/image-store.ts'
import { blobsOf, readTree, type ReadTreeOptions } from './image-tree.ts'

/** Returns what is missing, for messages; null if the image is complete. Throws RegistryError if that is not known. */
export async function findGap(
  repository: ImageRepository,
  digest: string,
  options: ReadTreeOptions,
): Promise<string | null> {
  try {
    const blobs = blobsOf(await readTree(repository, { digest }, options))
    const isPresent = await Promise.all(
      blobs.map((blob) => repository.hasBlob(blob, options.signal)),
    )
    const missing = blobs.filter((_, index) => !isPresent[index])
    const [first] = missing
    if (first === undefined) return null
    const more = missing.length === 1 ? '' : ` and ${missing.length - 1} more`
    return `${repository.host} lacks blob ${shortDigest(first.digest)}${more}`
  } catch (error) {
    if (error instanceof RegistryError && error.outcome === 'absent') return error.message
    throw error
  }
}
