/**
 * A blob at its source: read piece by piece, hashed on the way, gone on with after a cut. The last piece is held back
 * until the hash is right, so that nobody can finish what is not what its digest says.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import { shortDigest } from '../manifests/manifests.ts'
import { maxAttempts } from '../http/retry-policy.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'

export interface BlobDescriptor {
  readonly digest: string
  /** Bytes. */
  readonly size: number
}

export interface BlobSource {
  readonly descriptor: BlobDescriptor
  /** The bytes from this one on. Throws RegistryError, and AbortError's like when the signal aborts. */
  read(from: number): AsyncGenerator<Buffer, void>
}

interface Checkpoint {
  readonly offset: number
  readonly hash: Hash
}

/** What is read twice at the most when an upload has to go back; a copy of a hash's state has some hundred bytes. */
const checkpointBytes = 8 * 1024 * 1024

export function createBlobSource(
  repository: Repository,
  descriptor: BlobDescriptor,
  signal: AbortSignal,
): BlobSource {
  const { digest, size } = descriptor
  const [algorithm = ''] = digest.split(':', 1)
  const checkpoints: Checkpoint[] = [{ offset: 0, hash: createHash(algorithm) }]
  const name = `blob ${shortDigest(digest)}`

  async function* read(from: number): AsyncGenerator<Buffer, void> {
    const start = checkpoints.findLast(({ offset }) => offset <= from)
    if (start === undefined) return
    const hash = start.hash.copy()
    let at = start.offset
    const verify = () => {
      if (`${algorithm}:${hash.copy().digest('hex')}` === digest) return
      throw invalid(`${name} from ${repository.host} has another hash`)
    }
    if (size === 0) verify()
    for await (const chunk of pieces(repository, descriptor, { at, signal })) {
      at += chunk.length
      if (at > size) throw invalid(`${name} is longer than its ${size} bytes`)
      hash.update(chunk)
      const last = checkpoints.at(-1)?.offset ?? 0
      if (at - last >= checkpointBytes) checkpoints.push({ offset: at, hash: hash.copy() })
      if (at === size) verify()
      if (at > from) yield chunk.subarray(Math.max(0, chunk.length - (at - from)))
    }
  }

  return { descriptor, read }
}

interface BlobPosition {
  readonly at: number
  readonly signal: AbortSignal
}

/** Everything from byte `at` on, asked for again from where it was cut off. */
async function* pieces(
  repository: Repository,
  descriptor: BlobDescriptor,
  { at: start, signal }: BlobPosition,
): AsyncGenerator<Buffer, void> {
  let at = start
  for (let failures = 0; at < descriptor.size;) {
    const before = at
    const body = await open(repository, descriptor, { at, signal })
    try {
      for await (const chunk of body) {
        at += chunk.length
        yield chunk
      }
    } catch {
      signal.throwIfAborted()
    }
    if (at >= descriptor.size) return
    failures = at > before ? 1 : failures + 1
    if (failures === maxAttempts) {
      const detail = `${repository.host} keeps cutting ${shortDigest(descriptor.digest)} off at byte ${at}`
      throw new RegistryError(failed('unreachable', detail))
    }
    await repository.retryPolicy.backOff(failures, signal)
  }
}

/** The rest of a blob from byte `at`, whether or not the registry knows ranges. */
async function open(
  repository: Repository,
  { digest, size }: BlobDescriptor,
  { at, signal }: BlobPosition,
): Promise<AsyncIterable<Buffer>> {
  const response = await repository.send({
    method: 'GET',
    target: `blobs/${digest}`,
    headers: at === 0 ? {} : { range: `bytes=${at}-${size - 1}` },
    asStream: true,
    signal,
  })
  const { status, stream } = response
  const [range = ''] = response.header('content-range')
  const isRest = status === 206 && range.startsWith(`bytes ${at}-`)
  if (stream !== null && (status === 200 || isRest)) return isRest ? stream : skip(stream, at)
  stream?.on('error', () => undefined).destroy()
  throw registryErrorFor(repository, response, `for blob ${shortDigest(digest)}`)
}

/** A registry without ranges begins anew; what was there before is read over. */
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
