/** What a reference names: a digest and a media type, from a HEAD where that can be believed, else from the bytes. */
import { createHash } from 'node:crypto'
import { isDigest } from '../../decision/reference/parse.ts'
import type { ManifestAnswer } from '../../decision/resolve/manifest-source.ts'
import { failed } from '../http/network-error.ts'
import { failureForStatus } from '../http/status.ts'
import type { HttpResponse, SendResult } from '../http/transport.ts'

/** The four kinds of manifest. Without the two lists a registry may answer with one platform's image in their stead. */
const mediaTypes: readonly string[] = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]

/** One header: some registries read no more than the first. */
export const acceptHeader: string = mediaTypes.join(', ')

/** distribution-spec asks registries to take manifests of at least this size; containerd reads no larger ones. */
export const maxManifestBytes: number = 4 * 1024 * 1024

const tooLarge = 'manifest above 4 MiB'

/** Schema 1, and what containerd takes for it. No current runtime can run such an image. */
const schema1Types: ReadonlySet<string> = new Set([
  'application/vnd.docker.distribution.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'text/plain',
])

/** Types that say nothing, so that the body has to. */
const genericTypes: ReadonlySet<string> = new Set([
  '',
  'application/json',
  'application/octet-stream',
])

/** HEAD is sent to these statuses' senders in vain: 403 has its reason in a body, the others do not know the method. */
const wantsGet: ReadonlySet<number> = new Set([403, 405, 501])

export interface ManifestLookup {
  readonly send: (method: 'HEAD' | 'GET') => Promise<SendResult>
  /** A tag or a digest. */
  readonly reference: string
  readonly now: () => number
}

/** Asks with HEAD, and with one GET where HEAD leaves something open. */
export async function lookUpManifest({
  send,
  reference,
  now,
}: ManifestLookup): Promise<ManifestAnswer> {
  const head = await send('HEAD')
  if (!head.ok) return head.failure
  const { status } = head.response
  if (status !== 200 && !wantsGet.has(status)) return failureForStatus(head.response, now)
  const answer = status === 200 ? readHead(head.response, reference) : null
  if (answer !== null) return answer
  const get = await send('GET')
  if (!get.ok) return get.failure
  return get.response.status === 200
    ? readGet(get.response, reference)
    : failureForStatus(get.response, now)
}

/** Null when only the bytes can tell. */
function readHead(response: HttpResponse, reference: string): ManifestAnswer | null {
  if (response.hasContentCoding) return coded()
  const type = typeOf(response)
  const fault = typeFault(type)
  if (fault !== null) return fault
  const length = lengthOf(response)
  if (length > maxManifestBytes) return failed('invalid', tooLarge)
  const digest = digestOf(response)
  if (digest === null || length === 0 || genericTypes.has(type)) return null
  if (isDigest(reference) && digest !== reference) {
    return algorithmOf(digest) === algorithmOf(reference) ? otherDigest() : null
  }
  return { outcome: 'found', digest, mediaType: type }
}

function readGet(response: HttpResponse, reference: string): ManifestAnswer {
  if (response.hasContentCoding) return coded()
  const { body } = response
  if (body === null) return failed('invalid', tooLarge)
  const fault = typeFault(typeOf(response))
  if (fault !== null) return fault
  const stated = digestOf(response)
  if (stated !== null && stated !== hash(body, stated)) {
    return failed('invalid', 'digest header is not the hash of the manifest')
  }
  const digest = isDigest(reference) ? hash(body, reference) : (stated ?? hash(body, 'sha256:'))
  if (isDigest(reference) && digest !== reference) return otherDigest()
  const mediaType = typeOfBody(body, typeOf(response))
  return typeof mediaType === 'string' ? { outcome: 'found', digest, mediaType } : mediaType
}

/** The body names its type itself; the header may say nothing, but not something else. */
function typeOfBody(body: Buffer, headerType: string): string | ManifestAnswer {
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
    return agrees ? headerType : failed('invalid', 'manifest is of another type than its header')
  }
  return typeof mediaType === 'string' && mediaTypes.includes(mediaType)
    ? mediaType
    : failed('invalid', 'not an image manifest')
}

function typeFault(type: string): ManifestAnswer | null {
  if (mediaTypes.includes(type) || genericTypes.has(type)) return null
  if (schema1Types.has(type)) return schema1()
  return type === 'text/html'
    ? failed('invalid', 'a web page instead of a manifest; check the endpoint')
    : failed('invalid', 'not an image manifest')
}

/** Without parameters such as `; charset=utf-8`. */
function typeOf({ header }: HttpResponse): string {
  const [value = ''] = header('content-type')
  const [type = ''] = value.split(';', 1)
  return type.trim().toLowerCase()
}

/** Null when it is missing, said twice, or anything but a digest: it goes into a pod's image name. */
function digestOf({ header }: HttpResponse): string | null {
  const [value, ...more] = header('docker-content-digest')
  return value !== undefined && more.length === 0 && isDigest(value) ? value : null
}

/** 0 when it is missing: no manifest is empty. */
function lengthOf({ header }: HttpResponse): number {
  const [value = ''] = header('content-length')
  return /^[0-9]{1,15}$/.test(value) ? Number(value) : 0
}

function algorithmOf(digest: string): string {
  return digest.slice(0, digest.indexOf(':'))
}

/** The hash of these bytes by the algorithm of that digest. */
function hash(body: Buffer, like: string): string {
  const algorithm = algorithmOf(like)
  return `${algorithm}:${createHash(algorithm).update(body).digest('hex')}`
}

function coded(): ManifestAnswer {
  return failed('invalid', 'the answer is compressed, which was not asked for')
}

function otherDigest(): ManifestAnswer {
  return failed('invalid', 'the registry answered with another digest than the one asked for')
}

function schema1(): ManifestAnswer {
  return failed('invalid', 'schema 1 image, which runtimes no longer run; push it again')
}
