/** Resolves a tag or digest to a digest and media type: with HEAD, and with GET when HEAD is not conclusive. */
import type { ManifestAnswer } from '../../decision/resolve/manifest-source.ts'
import type { HeadSupport } from '../connections.ts'
import { isDigest } from '../../decision/reference/parse.ts'
import { algorithmOf } from '../digest.ts'
import { failed } from '../http/network-error.ts'
import type { BodyConsumer } from '../http/response-body.ts'
import { failureForStatus } from '../http/status.ts'
import type { HttpResponse, SendResult } from '../http/messages.ts'
import {
  checkType,
  compressed,
  contentLengthOf,
  digestHeaderOf,
  genericTypes,
  mediaTypeOf,
  otherDigest,
  tooLarge,
} from './manifest-headers.ts'
import { maxManifestBytes } from './manifest-json.ts'
import { createManifestReader } from './manifest-reader.ts'

/** Statuses of a HEAD that need a GET: 400 and 403 have their reason in the body, and the others mean that HEAD is not supported. */
const needsGet: ReadonlySet<number> = new Set([400, 403, 405, 501])

/** The status with which registries that route only GET answer HEAD. */
const notFound = 404

export interface ManifestLookup {
  /** `consumer` receives the body of a GET. */
  readonly send: (method: 'HEAD' | 'GET', consumer?: BodyConsumer) => Promise<SendResult>
  /** A tag or a digest. */
  readonly reference: string
  /** Updated by the lookup. */
  readonly headSupport: HeadSupport
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Sends HEAD, and at most one GET. */
export async function lookUpManifest({
  send,
  reference,
  headSupport,
  now,
}: ManifestLookup): Promise<ManifestAnswer> {
  const head = await send('HEAD')
  if (!head.ok) return head.failure
  const { status } = head.response
  const isDoubtful = status === notFound && !headSupport.isProven
  if (status !== 200 && !needsGet.has(status) && !isDoubtful) {
    return failureForStatus(head.response, now)
  }
  const answer = status === 200 ? readHead(head.response, reference) : null
  if (answer?.outcome === 'found') headSupport.isProven = true
  if (answer !== null) return answer
  const reader = createManifestReader(reference)
  const get = await send('GET', reader.consumer)
  if (!get.ok) return get.failure
  if (get.response.status === 200) return reader.answer(get.response)
  // Docker Hub limits GET, but not HEAD: its 429 does not make a 404 doubtful.
  const isConfirmed = isDoubtful && get.response.status < 500
  return failureForStatus(isConfirmed ? head.response : get.response, now)
}

/** Null when only the body is conclusive. */
function readHead(response: HttpResponse, reference: string): ManifestAnswer | null {
  if (response.hasContentCoding) return compressed()
  const type = mediaTypeOf(response)
  const problem = checkType(type)
  if (problem !== null) return problem
  const length = contentLengthOf(response)
  if (length > maxManifestBytes) return failed('invalid', tooLarge)
  const digest = digestHeaderOf(response)
  if (digest === null || length === 0 || genericTypes.has(type)) return null
  if (isDigest(reference) && digest !== reference) {
    return algorithmOf(digest) === algorithmOf(reference) ? otherDigest() : null
  }
  return { outcome: 'found', digest, mediaType: type }
}
