/**
 * Putting a blob into a repository (distribution-spec, Pushing blobs): mounted from a neighbour, in one piece, or in
 * chunks where a registry wants that or an upload was cut off. An upload that is given up is cancelled.
 */
import { Readable } from 'node:stream'
import type { BlobSource, BlobDescriptor } from './blob-source.ts'
import { createBlobReader, type BlobReader } from './blob-reader.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import { shortDigest } from '../manifests/manifests.ts'
import { maxAttempts } from '../http/retry-policy.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'
import type { HttpResponse, SendResult } from '../http/transport.ts'

/** Above ECR's smallest part of 5 MiB, and not so large that a cut costs much. */
const chunkBytes = 16 * 1024 * 1024

/** Registries on object storage assemble and hash the whole blob before they answer. */
const commitSilenceMs = 5 * 60_000

/** Long enough for one DELETE on the way out; who asked to stop does not wait for more. */
const cancelMs = 3_000

/** Statuses of a PUT with which a registry says that it does not take a blob in one piece. */
const wantsChunks: ReadonlySet<number> = new Set([405, 411, 413, 415, 416, 501])

export interface UploadOptions {
  readonly signal: AbortSignal
  /** Told how many bytes more, or after a cut fewer, have gone out. */
  readonly onBytes: (bytes: number) => void
}

/** An upload under way. */
interface Upload {
  location: URL
  /** Bytes that the registry has. */
  offset: number
  minChunkBytes: number
}

/** Whether the repository has the blob, in full size. */
export async function hasBlob(
  repository: Repository,
  { digest, size }: BlobDescriptor,
  signal: AbortSignal,
): Promise<boolean> {
  const response = await repository.send({ method: 'HEAD', target: `blobs/${digest}`, signal })
  if (response.status === 404) return false
  if (response.status !== 200)
    throw registryErrorFor(repository, response, `for blob ${shortDigest(digest)}`)
  const [length] = response.header('content-length')
  return length === undefined || Number(length) === size
}

/** Asks for the blob of a neighbour. Any answer but yes is none: what comes then is an ordinary upload. */
export async function mountBlob(
  repository: Repository,
  { digest }: BlobDescriptor,
  { from, signal }: { readonly from: string; readonly signal: AbortSignal },
): Promise<'mounted' | Upload | null> {
  const query = { mount: digest, from }
  const sent = await repository.sendOnce({
    method: 'POST',
    target: 'blobs/uploads/',
    headers: { 'content-length': '0' },
    query,
    mountFrom: from,
    signal,
  })
  signal.throwIfAborted()
  if (sent.ok && sent.response.status === 201) return 'mounted'
  // Harbor says 401, others 403, 404 or 500, where the specification has 202.
  if (!sent.ok || sent.response.status !== 202) repository.state.canMount = false
  return sent.ok && sent.response.status === 202 ? uploadAt(repository, sent.response) : null
}

/** Uploads the whole blob; throws RegistryError, and then the registry does not have it. */
export async function uploadBlob(
  repository: Repository,
  source: BlobSource,
  options: UploadOptions & { readonly begun?: Upload | null },
): Promise<void> {
  const { signal, onBytes } = options
  let upload: Upload | null = options.begun ?? null
  let counted = 0
  const count = (offset: number) => {
    onBytes(offset - counted)
    counted = offset
  }
  try {
    for (let failures = 1; ; failures++) {
      upload ??= await startUpload(repository, signal)
      count(upload.offset)
      const sent: SendResult =
        repository.state.needsChunks || upload.offset > 0
          ? await sendChunks(repository, source, { upload, signal, count })
          : await sendWhole(repository, source, { upload, signal, count })
      if (sent.ok && sent.response.status === 201) return
      upload = await recover(repository, { source, upload, sent, failures, signal })
    }
  } catch (error) {
    if (upload !== null) await cancel(repository, upload)
    count(0)
    throw error
  }
}

interface Sending {
  readonly upload: Upload
  readonly signal: AbortSignal
  /** Told how much of the blob has gone out. */
  readonly count: (offset: number) => void
}

/** POST, then one PUT. */
async function sendWhole(
  repository: Repository,
  source: BlobSource,
  { upload, signal, count }: Sending,
): Promise<SendResult> {
  const cursor = createBlobReader(source, 0)
  const { digest, size } = source.descriptor
  try {
    const piece = { upload, bytes: size, query: { digest }, signal, count }
    return await sendBody(repository, cursor, { method: 'PUT', ...piece })
  } finally {
    await cursor.close()
  }
}

/** PATCH for each chunk but the last, which travels with the closing PUT: an empty one is refused by some. */
async function sendChunks(
  repository: Repository,
  source: BlobSource,
  { upload, signal, count }: Sending,
): Promise<SendResult> {
  const { digest, size } = source.descriptor
  const length = Math.max(chunkBytes, upload.minChunkBytes)
  const cursor = createBlobReader(source, upload.offset)
  try {
    while (size - upload.offset > length) {
      const before = upload.offset
      const sent = await sendBody(repository, cursor, {
        method: 'PATCH',
        upload,
        bytes: length,
        query: {},
        signal,
        count,
      })
      if (!sent.ok || (sent.response.status !== 202 && sent.response.status !== 201)) return sent
      upload.location = locationOf(repository, sent.response)
      const stored = storedBytes(sent.response)
      // ECR repeats the range of the first chunk for ever, and has all of them: no progress at all is not believed.
      const isPartial = stored !== null && stored > before && stored < before + length
      if (isPartial)
        return { ok: false, failure: failed('unreachable', 'part of a chunk was kept') }
      upload.offset = before + length
    }
    return await sendBody(repository, cursor, {
      method: 'PUT',
      upload,
      bytes: size - upload.offset,
      query: { digest },
      signal,
      count,
    })
  } finally {
    await cursor.close()
  }
}

interface Piece extends Sending {
  readonly method: 'PUT' | 'PATCH'
  readonly bytes: number
  readonly query: Readonly<Record<string, string>>
}

/** Streams the next bytes of the cursor. A fault of the source wins over what the target makes of it. */
async function sendBody(
  repository: Repository,
  cursor: BlobReader,
  { method, upload, bytes, query, signal, count }: Piece,
): Promise<SendResult> {
  const { offset, location } = upload
  const range =
    method === 'PATCH' || offset > 0 ? { 'content-range': `${offset}-${offset + bytes - 1}` } : {}
  let fault: unknown = null
  async function* piece(): AsyncGenerator<Buffer, void> {
    let sent = offset
    try {
      for await (const chunk of cursor.take(bytes)) {
        sent += chunk.length
        count(sent)
        yield chunk
      }
    } catch (error) {
      fault = error
      throw error
    }
  }
  const sent = await repository.sendOnce({
    method,
    target: location,
    query,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(bytes),
      ...(bytes === 0 ? {} : range),
    },
    body: bytes === 0 ? Buffer.alloc(0) : Readable.from(piece(), { objectMode: false }),
    headersTimeoutMs: commitSilenceMs,
    signal,
  })
  signal.throwIfAborted()
  if (fault instanceof RegistryError) throw fault
  return sent
}

interface Failed {
  readonly source: BlobSource
  readonly upload: Upload
  readonly sent: SendResult
  readonly failures: number
  readonly signal: AbortSignal
}

/** Where to go on after an answer that is not 201: the same upload at what the registry has, or null for a new one. */
async function recover(
  repository: Repository,
  { source, upload, sent, failures, signal }: Failed,
): Promise<Upload | null> {
  const { digest, size } = source.descriptor
  const fault = sent.ok
    ? registryErrorFor(repository, sent.response, `to blob ${shortDigest(digest)}`)
    : new RegistryError(sent.failure)
  if (failures >= maxAttempts) throw fault
  if (
    sent.ok &&
    wantsChunks.has(sent.response.status) &&
    upload.offset === 0 &&
    !repository.state.needsChunks
  ) {
    repository.state.needsChunks = true
    await cancel(repository, upload)
    return null
  }
  // 401: the token was too old for a body that is sent once. 404: the upload is gone. 400: the bytes came wrong.
  const isAgain = sent.ok && [400, 401, 404, 416].includes(sent.response.status)
  if (!isAgain && !repository.retryPolicy.shouldRetry(sent)) throw fault
  if (!isAgain) await repository.retryPolicy.backOff(failures, signal)
  const stored =
    sent.ok && sent.response.status !== 416 ? null : await askStored(repository, upload, signal)
  if (stored !== null && stored.offset > 0 && stored.offset <= size) return stored
  await cancel(repository, upload)
  return null
}

/** What the registry has of an upload; null when it has none, or does not say. */
async function askStored(
  repository: Repository,
  { location, minChunkBytes }: Upload,
  signal: AbortSignal,
): Promise<Upload | null> {
  const sent = await repository.sendOnce({ method: 'GET', target: location, signal })
  signal.throwIfAborted()
  if (!sent.ok || sent.response.status !== 204) return null
  const offset = storedBytes(sent.response)
  if (offset === null) return null
  return { location: locationOf(repository, sent.response, location), offset, minChunkBytes }
}

async function startUpload(repository: Repository, signal: AbortSignal): Promise<Upload> {
  const response = await repository.send({
    method: 'POST',
    target: 'blobs/uploads/',
    headers: { 'content-length': '0' },
    signal,
  })
  if (response.status !== 202)
    throw registryErrorFor(repository, response, `to a new upload in ${repository.name}`)
  return uploadAt(repository, response)
}

function uploadAt(repository: Repository, response: HttpResponse): Upload {
  const [least = ''] = response.header('oci-chunk-min-length')
  return {
    location: locationOf(repository, response),
    offset: 0,
    minChunkBytes: /^[0-9]{1,12}$/.test(least) ? Number(least) : 0,
  }
}

/** May be relative, may have a query, and is used as it comes. */
function locationOf({ host }: Repository, { header, url }: HttpResponse, before?: URL): URL {
  const [location] = header('location')
  if (location !== undefined && URL.canParse(location, url.href)) {
    const next = new URL(location, url)
    const isSafe = next.protocol === 'https:' || next.protocol === url.protocol
    if (isSafe && next.username === '' && next.password === '') return next
  } else if (before !== undefined) return before
  throw new RegistryError(failed('invalid', `${host} names no usable place for an upload`))
}

/** `0-1023` are 1,024 bytes; `0-0` is what docker-registry says of none. Null when nothing usable is said. */
function storedBytes({ header }: HttpResponse): number | null {
  const [, last = ''] = /^(?:bytes=)?0-([0-9]{1,15})$/.exec(header('range')[0] ?? '') ?? []
  if (last === '') return null
  return last === '0' ? 0 : Number(last) + 1
}

/** Best effort, also when the run is being stopped: a registry would keep half a blob for a week. */
async function cancel(repository: Repository, { location }: Upload): Promise<void> {
  await repository.sendOnce({
    method: 'DELETE',
    target: location,
    signal: AbortSignal.timeout(cancelMs),
  })
}
