/**
 * Reads a blob from a registry: hashes it on the way, and resumes after a broken connection. Withholds the last chunk until
 * the digest is right, so that no upload of wrong content can complete.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { algorithmOf, shortDigest } from '../digest.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import { maxAttempts } from '../http/retry-policy.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'

export interface BlobDescriptor {
  readonly digest: string
  /** Bytes. */
  readonly size: number
}

export interface BlobSource {
  readonly descriptor: BlobDescriptor
  /** Yields the bytes from an offset on. Throws RegistryError, and the signal's reason when it aborts. */
  read(offset: number): AsyncGenerator<Buffer, void>
}

interface Checkpoint {
  readonly offset: number
  readonly hash: Hash
}

/** The most that is read twice when an upload goes back. The copied state of a hash has some hundred bytes. */
const checkpointBytes = 8 * 1024 * 1024

export interface BlobSourceOptions {
  readonly signal: AbortSignal
  /** Where the blob is, if it is not in the repository. Must be on the internet, or in the private network of the registry. */
  readonly url?: URL | null
}

export function createBlobSource(
  repository: Repository,
  descriptor: BlobDescriptor,
  { signal, url = null }: BlobSourceOptions,
): BlobSource {
  return createVerifiedSource(descriptor, repository.host, (offset) =>
    download(repository, descriptor, { offset, signal, url }),
  )
}

/** Creates a source that verifies the digest of what `open` yields from an offset on. `host` is for messages. */
export function createVerifiedSource(
  descriptor: BlobDescriptor,
  host: string,
  open: (offset: number) => AsyncGenerator<Buffer, void>,
): BlobSource {
  const { digest, size } = descriptor
  const algorithm = algorithmOf(digest)
  const checkpoints: Checkpoint[] = [{ offset: 0, hash: createHash(algorithm) }]
  const name = `blob ${shortDigest(digest)}`

  async function* read(from: number): AsyncGenerator<Buffer, void> {
    const start = checkpoints.findLast(({ offset }) => offset <= from)
    if (start === undefined) return
    const hash = start.hash.copy()
    let offset = start.offset
    const verify = () => {
      if (`${algorithm}:${hash.copy().digest('hex')}` === digest) return
      throw invalid(`${name} from ${host} does not match its digest`)
    }
    if (size === 0) verify()
    for await (const chunk of open(offset)) {
      offset += chunk.length
      if (offset > size) throw invalid(`${name} is longer than its ${size} bytes`)
      hash.update(chunk)
      const last = checkpoints.at(-1)?.offset ?? 0
      if (offset - last >= checkpointBytes) checkpoints.push({ offset, hash: hash.copy() })
      if (offset === size) verify()
      if (offset > from) yield chunk.subarray(Math.max(0, chunk.length - (offset - from)))
    }
    if (offset < size) throw invalid(`${name} from ${host} ends after ${offset} of ${size} bytes`)
  }

  return { descriptor, read }
}

interface DownloadOptions {
  readonly url: URL | null
  /** The first byte to read. */
  readonly offset: number
  readonly signal: AbortSignal
}

/** Yields the rest of a blob. After a broken connection, requests it again from that byte on. */
async function* download(
  repository: Repository,
  descriptor: BlobDescriptor,
  { offset: start, signal, url }: DownloadOptions,
): AsyncGenerator<Buffer, void> {
  let offset = start
  for (let failures = 0; offset < descriptor.size;) {
    const before = offset
    const body = await request(repository, descriptor, { offset, signal, url })
    try {
      for await (const chunk of body) {
        offset += chunk.length
        yield chunk
      }
    } catch {
      signal.throwIfAborted()
    }
    if (offset >= descriptor.size) return
    failures = offset > before ? 1 : failures + 1
    if (failures === maxAttempts) {
      const name = `blob ${shortDigest(descriptor.digest)}`
      const detail = `${repository.host} keeps closing the connection at byte ${offset} of ${name}`
      throw new RegistryError(failed('unreachable', detail))
    }
    await repository.retryPolicy.backOff(failures, signal)
  }
}

/** Returns the blob from an offset on, also from a registry that does not support ranges. */
async function request(
  repository: Repository,
  { digest, size }: BlobDescriptor,
  { offset, signal, url }: DownloadOptions,
): Promise<AsyncIterable<Buffer>> {
  const response = await repository.send({
    method: 'GET',
    target: url ?? `blobs/${digest}`,
    headers: offset === 0 ? {} : { range: `bytes=${offset}-${size - 1}` },
    asStream: true,
    signal,
  })
  const { status, stream } = response
  const [range = ''] = response.header('content-range')
  const isRange = status === 206 && range.startsWith(`bytes ${offset}-`)
  if (stream !== null && (status === 200 || isRange)) return isRange ? stream : skip(stream, offset)
  stream?.on('error', () => undefined).destroy()
  throw registryErrorFor(repository, response, `blob ${shortDigest(digest)}`)
}

/** Skips the first bytes of a stream, for a registry that sends the whole blob again. */
async function* skip(stream: Readable, bytes: number): AsyncGenerator<Buffer, void> {
  let left = bytes
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (chunk.length > left) yield chunk.subarray(left)
    left = Math.max(0, left - chunk.length)
  }
}

function invalid(detail: string): RegistryError {
  return new RegistryError(failed('invalid', detail))
}
