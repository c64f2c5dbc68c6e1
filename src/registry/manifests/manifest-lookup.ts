/** Resolves a tag or digest to a digest and media type: with HEAD, and with GET when HEAD is not conclusive. */
import type { ManifestAnswer } from '../../decision/resolve/manifest-source.ts'
import { isDigest } from '../../decision/reference/parse.ts'
import { algorithmOf, digestLike } from '../digest.ts'
import { failed } from '../http/network-error.ts'
import { failureForStatus } from '../http/status.ts'
import type { HttpResponse, SendResult } from '../http/transport.ts'

/** Without the two index types, a registry may send the image of one platform instead of the index. */
const mediaTypes: readonly string[] = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]

/** One header with all types, because some registries read only the first Accept header. */
export const acceptHeader: string = mediaTypes.join(', ')

/** The size that registries must accept at least (distribution-spec), and the most that containerd reads. */
export const maxManifestBytes: number = 4 * 1024 * 1024

const tooLarge = 'manifest exceeds 4 MiB'

/** Schema 1 manifests, and the types that containerd takes for them. No current runtime can run such an image. */
const schema1Types: ReadonlySet<string> = new Set([
  'application/vnd.docker.distribution.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'text/plain',
])

/** With these types, only the body tells what it is. */
const genericTypes: ReadonlySet<string> = new Set([
  '',
  'application/json',
  'application/octet-stream',
])

/** Statuses of a HEAD that need a GET: 403 has its reason in the body, and the others mean that HEAD is not supported. */
const needsGet: ReadonlySet<number> = new Set([403, 405, 501])

export interface ManifestLookup {
  readonly send: (method: 'HEAD' | 'GET') => Promise<SendResult>
  /** A tag or a digest. */
  readonly reference: string
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Sends HEAD, and at most one GET. */
export async function lookUpManifest({
  send,
  reference,
  now,
}: ManifestLookup): Promise<ManifestAnswer> {
  const head = await send('HEAD')
  if (!head.ok) return head.failure
  const { status } = head.response
  if (status !== 200 && !needsGet.has(status)) return failureForStatus(head.response, now)
  const answer = status === 200 ? readHead(head.response, reference) : null
  if (answer !== null) return answer
  const get = await send('GET')
  if (!get.ok) return get.failure
  return get.response.status === 200
    ? readGet(get.response, reference)
    : failureForStatus(get.response, now)
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

function readGet(response: HttpResponse, reference: string): ManifestAnswer {
  if (response.hasContentCoding) return compressed()
  const { body } = response
  if (body === null) return failed('invalid', tooLarge)
  const problem = checkType(mediaTypeOf(response))
  if (problem !== null) return problem
  const stated = digestHeaderOf(response)
  if (stated !== null && stated !== digestLike(stated, body)) {
    return failed('invalid', 'the digest header does not match the manifest')
  }
  const digest = isDigest(reference)
    ? digestLike(reference, body)
    : (stated ?? digestLike('sha256:', body))
  if (isDigest(reference) && digest !== reference) return otherDigest()
  const mediaType = readMediaType(body, mediaTypeOf(response))
  return typeof mediaType === 'string' ? { outcome: 'found', digest, mediaType } : mediaType
}

/** Returns the type of a manifest. The header may be generic, but must not contradict the body. */
function readMediaType(body: Buffer, headerType: string): string | ManifestAnswer {
  let document: unknown
  try {
    document = JSON.parse(body.toString('utf8'))
  } catch {
    return failed('invalid', 'manifest is not JSON')
  }
  if (typeof document !== 'object' || document === null) {
    return failed('invalid', 'manifest is not a JSON object')
  }
  const { mediaType, schemaVersion } = document as Readonly<Record<string, unknown>>
  if (schemaVersion === 1) return schema1()
  if (mediaTypes.includes(headerType)) {
    const agrees = mediaType === undefined || mediaType === '' || mediaType === headerType
    return agrees
      ? headerType
      : failed('invalid', 'the media type in the manifest differs from the Content-Type header')
  }
  return typeof mediaType === 'string' && mediaTypes.includes(mediaType)
    ? mediaType
    : failed('invalid', 'not an image manifest')
}

function checkType(type: string): ManifestAnswer | null {
  if (mediaTypes.includes(type) || genericTypes.has(type)) return null
  if (schema1Types.has(type)) return schema1()
  return type === 'text/html'
    ? failed('invalid', 'a web page instead of a manifest; check the endpoint')
    : failed('invalid', 'not an image manifest')
}

/** Returns the type without parameters such as `; charset=utf-8`. */
function mediaTypeOf({ header }: HttpResponse): string {
  const [value = ''] = header('content-type')
  const [type = ''] = value.split(';', 1)
  return type.trim().toLowerCase()
}

/** Null unless the header occurs once and is a valid digest: the digest becomes part of a pod's image name. */
function digestHeaderOf({ header }: HttpResponse): string | null {
  const [value, ...more] = header('docker-content-digest')
  return value !== undefined && more.length === 0 && isDigest(value) ? value : null
}

/** 0 without the header: no manifest is empty. */
function contentLengthOf({ header }: HttpResponse): number {
  const [value = ''] = header('content-length')
  return /^[0-9]{1,15}$/.test(value) ? Number(value) : 0
}

function compressed(): ManifestAnswer {
  return failed('invalid', 'the response is compressed, although Berth accepts no compression')
}

function otherDigest(): ManifestAnswer {
  return failed('invalid', 'the registry sent a manifest with another digest than requested')
}

function schema1(): ManifestAnswer {
  return failed('invalid', 'schema 1 image, which current runtimes cannot run; push it again')
}
