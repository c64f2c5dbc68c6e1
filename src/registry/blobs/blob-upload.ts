/**
 * Uploads a blob to a repository (distribution-spec, Pushing blobs): mounts it from another repository, sends it in one
 * request, or in chunks if the registry needs that or an upload was interrupted. Cancels an upload that it gives up.
 */
import { Readable } from 'node:stream'
import { shortDigest } from '../digest.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import { maxAttempts } from '../http/retry-policy.ts'
import type { HttpResponse, SendResult } from '../http/messages.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'
import { type BlobReader, createBlobReader } from './blob-reader.ts'
import type { BlobDescriptor, BlobSource } from './blob-source.ts'
import { chunkSizes, explainSizeLimit, smallerChunk, tooLargeStatus } from './chunk-size.ts'
import { uploadLocation } from './upload-location.ts'

/** Registries with object storage assemble and hash the whole blob before they respond. */
const commitTimeoutMs = 5 * 60_000

/** Enough for one DELETE; a user who stops Berth does not wait longer. */
const cancelTimeoutMs = 3_000

/**
 * Statuses after which the upload is repeated at once. 400: the bytes arrived damaged. 401: the token expired, and a streamed
 * body cannot be sent again. 404: the upload no longer exists. 416: the registry has another part than expected.
 */
const restartStatuses: ReadonlySet<number> = new Set([400, 401, 404, 416])

export interface UploadOptions {
  readonly signal: AbortSignal
  /** Receives the number of bytes that were sent; a negative number when an interruption undid some of them. */
  readonly onBytes: (bytes: number) => void
}

/** An upload in progress. */
interface Upload {
  location: URL
  /** Bytes that the registry has. */
  offset: number
  minChunkBytes: number
}

/** Returns whether the repository has the blob, in full size. Throws RegistryError. */
export async function hasBlob(
  repository: Repository,
  { digest, size }: BlobDescriptor,
  signal: AbortSignal,
): Promise<boolean> {
  const response = await repository.send({ method: 'HEAD', target: `blobs/${digest}`, signal })
  if (response.status === 404) return false
  if (response.status !== 200) {
    throw registryErrorFor(repository, response, `blob ${shortDigest(digest)}`)
  }
  const [length] = response.header('content-length')
  return length === undefined || Number(length) === size
}

/**
 * Mounts the blob from another repository of the registry. If the registry does not mount it, returns the upload that it
 * started instead, or null.
 */
export async function mountBlob(
  repository: Repository,
  { digest }: BlobDescriptor,
  { from, signal }: { readonly from: string; readonly signal: AbortSignal },
): Promise<'mounted' | Upload | null> {
  const sent = await repository.sendOnce({
    method: 'POST',
    target: 'blobs/uploads/',
    headers: { 'content-length': '0' },
    query: { mount: digest, from },
    mountFrom: from,
    signal,
  })
  signal.throwIfAborted()
  if (sent.ok && sent.response.status === 201) return 'mounted'
  // Instead of the 202 of the specification, Harbor sends 401, and others 403, 404 or 500.
  if (!sent.ok || sent.response.status !== 202) repository.state.canMount = false
  return sent.ok && sent.response.status === 202 ? uploadAt(repository, sent.response) : null
}

/** Uploads the whole blob. If it throws RegistryError, the registry does not have the blob. */
export async function uploadBlob(
  repository: Repository,
  source: BlobSource,
  options: UploadOptions & { readonly started?: Upload | null },
): Promise<void> {
  const { signal, onBytes } = options
  let upload: Upload | null = options.started ?? null
  let reported = 0
  const report = (offset: number) => {
    onBytes(offset - reported)
    reported = offset
  }
  try {
    for (let failures = 1; ; failures++) {
      upload ??= await startUpload(repository, signal)
      report(upload.offset)
      const { maxChunkBytes } = repository.state
      const sent: SendResult =
        maxChunkBytes !== null || upload.offset > 0
          ? await sendChunks(repository, source, {
              upload,
              chunkBytes: maxChunkBytes ?? chunkSizes[0],
              signal,
              report,
            })
          : await sendWhole(repository, source, { upload, signal, report })
      if (sent.ok && sent.response.status === 201) return
      upload = await recover(repository, { source, upload, sent, failures, maxChunkBytes, signal })
    }
  } catch (error) {
    if (upload !== null) await cancel(repository, upload)
    report(0)
    throw error
  }
}

/** Starts an upload and cancels it. Throws RegistryError if the registry refuses a push to the repository. */
export async function tryUpload(repository: Repository, signal: AbortSignal): Promise<void> {
  await cancel(repository, await startUpload(repository, signal))
}

interface SendOptions {
  readonly upload: Upload
  readonly signal: AbortSignal
  /** Receives the number of bytes of the blob that have been sent. */
  readonly report: (offset: number) => void
}

/** Sends the blob in one PUT. */
async function sendWhole(
  repository: Repository,
  source: BlobSource,
  options: SendOptions,
): Promise<SendResult> {
  const reader = createBlobReader(source, 0)
  const { digest, size } = source.descriptor
  try {
    const body = { method: 'PUT', bytes: size, query: { digest } } as const
    return await sendBody(repository, reader, { ...options, ...body })
  } finally {
    await reader.close()
  }
}

/** Sends a PATCH for each chunk but the last, which the closing PUT contains: some registries reject an empty PUT. */
async function sendChunks(
  repository: Repository,
  source: BlobSource,
  { chunkBytes, ...options }: SendOptions & { readonly chunkBytes: number },
): Promise<SendResult> {
  const { upload } = options
  const { digest, size } = source.descriptor
  const length = Math.max(chunkBytes, upload.minChunkBytes)
  const reader = createBlobReader(source, upload.offset)
  try {
    while (size - upload.offset > length) {
      const before = upload.offset
      const chunk = { method: 'PATCH', bytes: length, query: {} } as const
      const sent = await sendBody(repository, reader, { ...options, ...chunk })
      if (!sent.ok || (sent.response.status !== 202 && sent.response.status !== 201)) return sent
      upload.location = uploadLocation(repository, sent.response)
      const stored = storedBytes(sent.response)
      // ECR repeats the range of the first chunk in every response although it has all of them, so a range that does not grow
      // is ignored.
      const isPartial = stored !== null && stored > before && stored < before + length
      if (isPartial) {
        const failure = failed('unreachable', 'the registry stored only part of a chunk')
        return { ok: false, failure }
      }
      upload.offset = before + length
    }
    const rest = { method: 'PUT', bytes: size - upload.offset, query: { digest } } as const
    return await sendBody(repository, reader, { ...options, ...rest })
  } finally {
    await reader.close()
  }
}

interface BodyOptions extends SendOptions {
  readonly method: 'PUT' | 'PATCH'
  readonly bytes: number
  readonly query: Readonly<Record<string, string>>
}

/** Streams the next bytes of the reader. An error of the source takes precedence over the response of the destination. */
async function sendBody(
  repository: Repository,
  reader: BlobReader,
  { method, upload, bytes, query, signal, report }: BodyOptions,
): Promise<SendResult> {
  const { offset, location } = upload
  const range =
    method === 'PATCH' || offset > 0 ? { 'content-range': `${offset}-${offset + bytes - 1}` } : {}
  let sourceError: unknown = null
  async function* body(): AsyncGenerator<Buffer, void> {
    let sent = offset
    try {
      for await (const chunk of reader.take(bytes)) {
        sent += chunk.length
        report(sent)
        yield chunk
      }
    } catch (error) {
      sourceError = error
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
    body: bytes === 0 ? Buffer.alloc(0) : Readable.from(body(), { objectMode: false }),
    headersTimeoutMs: commitTimeoutMs,
    signal,
  })
  signal.throwIfAborted()
  if (sourceError instanceof RegistryError) throw sourceError
  return sent
}

interface FailedUpload {
  readonly source: BlobSource
  readonly upload: Upload
  readonly sent: SendResult
  readonly failures: number
  /** The largest chunk of this attempt; null if it sent the blob in one request. */
  readonly maxChunkBytes: number | null
  readonly signal: AbortSignal
}

/** Returns the upload to continue, at the offset that the registry has; null to start a new one. Throws to give up. */
async function recover(
  repository: Repository,
  { source, upload, sent, failures, maxChunkBytes, signal }: FailedUpload,
): Promise<Upload | null> {
  const { state, retryPolicy } = repository
  const { digest, size } = source.descriptor
  const status = sent.ok ? sent.response.status : 0
  const error = sent.ok
    ? registryErrorFor(repository, sent.response, `upload of blob ${shortDigest(digest)}`)
    : new RegistryError(sent.failure)
  if (failures >= maxAttempts) throw error
  const useSmallerChunks = (ofStatus: number): boolean => {
    const smaller = smallerChunk({ status: ofStatus, maxChunkBytes, size, ...upload })
    if (smaller !== null) state.maxChunkBytes = Math.min(smaller, state.maxChunkBytes ?? smaller)
    return smaller !== null
  }
  if (useSmallerChunks(status)) {
    await cancel(repository, upload)
    return null
  }
  if (status === tooLargeStatus) throw explainSizeLimit(error)
  const isRestart = restartStatuses.has(status)
  if (!isRestart && !retryPolicy.shouldRetry(sent)) throw error
  if (!isRestart) await retryPolicy.backOff(failures, signal)
  const stored = sent.ok && status !== 416 ? null : await uploadStatus(repository, upload, signal)
  if (stored !== null && stored.offset > 0 && stored.offset <= size) return stored
  // HAProxy closes the connection with its 413, without reading the body, so the response can be lost.
  if (!sent.ok && failures > 1) useSmallerChunks(tooLargeStatus)
  await cancel(repository, upload)
  return null
}

/** Returns the upload at the offset that the registry has; null if the registry does not tell. */
async function uploadStatus(
  repository: Repository,
  { location, minChunkBytes }: Upload,
  signal: AbortSignal,
): Promise<Upload | null> {
  const sent = await repository.sendOnce({ method: 'GET', target: location, signal })
  signal.throwIfAborted()
  if (!sent.ok || sent.response.status !== 204) return null
  const offset = storedBytes(sent.response)
  if (offset === null) return null
  return { location: uploadLocation(repository, sent.response, location), offset, minChunkBytes }
}

async function startUpload(repository: Repository, signal: AbortSignal): Promise<Upload> {
  const response = await repository.send({
    method: 'POST',
    target: 'blobs/uploads/',
    headers: { 'content-length': '0' },
    signal,
  })
  if (response.status !== 202) {
    throw registryErrorFor(repository, response, `a new upload to ${repository.name}`)
  }
  return uploadAt(repository, response)
}

function uploadAt(repository: Repository, response: HttpResponse): Upload {
  const [minLength = ''] = response.header('oci-chunk-min-length')
  return {
    location: uploadLocation(repository, response),
    offset: 0,
    minChunkBytes: /^[0-9]{1,12}$/.test(minLength) ? Number(minLength) : 0,
  }
}

/** `0-1023` are 1,024 bytes; docker-registry sends `0-0` for none. Null without a valid range. */
function storedBytes({ header }: HttpResponse): number | null {
  const [, last = ''] = /^(?:bytes=)?0-([0-9]{1,15})$/.exec(header('range')[0] ?? '') ?? []
  if (last === '') return null
  return last === '0' ? 0 : Number(last) + 1
}

/** Best effort, also during shutdown: otherwise a registry keeps half a blob for a week. */
async function cancel(repository: Repository, { location }: Upload): Promise<void> {
  await repository.sendOnce({
    method: 'DELETE',
    target: location,
    signal: AbortSignal.timeout(cancelTimeoutMs),
  })
}
