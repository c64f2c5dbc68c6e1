/** Selects the size of chunks for registries, and proxies in front of them, that do not accept a blob in one request. */
import { RegistryError } from '../http/registry-error.ts'

const mebibyte = 1024 * 1024

/**
 * The largest size is above the minimum of ECR, 5 MiB, and small enough that an interruption loses little. The smallest size
 * is the default limit of nginx (`client_max_body_size`).
 */
export const chunkSizes = [16 * mebibyte, 4 * mebibyte, mebibyte] as const

/** Statuses of a PUT from a registry that does not accept a blob in one request. */
const needsChunksStatuses: ReadonlySet<number> = new Set([405, 411, 415, 416, 501])

/** The status of a request that is too large, for the registry or for a proxy in front of it. */
export const tooLargeStatus = 413

interface RefusedUpload {
  readonly status: number
  /** The largest chunk that was sent; null if the blob was sent in one request. */
  readonly maxChunkBytes: number | null
  /** Bytes of the whole blob. */
  readonly size: number
  /** Bytes that the registry has. */
  readonly offset: number
  readonly minChunkBytes: number
}

/** Returns the size of the chunks to send instead; null if that cannot help. */
export function smallerChunk({
  status,
  maxChunkBytes,
  size,
  offset,
  minChunkBytes,
}: RefusedUpload): number | null {
  if (offset > 0) return null
  if (status !== tooLargeStatus) {
    return needsChunksStatuses.has(status) && maxChunkBytes === null ? chunkSizes[0] : null
  }
  const sent = Math.min(size, Math.max(maxChunkBytes ?? size, minChunkBytes))
  return chunkSizes.find((each) => each < sent && each >= minChunkBytes) ?? null
}

/** Adds what to change to an error with status 413. */
export function explainSizeLimit({ message, outcome, status, code }: RegistryError): RegistryError {
  const detail = `${message}; a proxy in front of it limits the size of requests (nginx: client_max_body_size)`
  return new RegistryError({ outcome, detail }, { status, code })
}
