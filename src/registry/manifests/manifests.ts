/** Reads and writes the bytes of manifests, and verifies their digests. */
import type { ManifestAnswer } from '../../decision/resolve/manifest-source.ts'
import { algorithmOf, digestLike, shortDigest } from '../digest.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import type { HttpResponse } from '../http/messages.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'
import { acceptHeader } from './manifest-headers.ts'
import { maxManifestBytes, parseManifest } from './manifest-json.ts'
import { lookUpManifest } from './manifest-lookup.ts'

export interface RawManifest {
  readonly digest: string
  readonly mediaType: string
  readonly bytes: Buffer
}

/** A registry may check that every child of an index exists, and an index can have a hundred of them. */
const putTimeoutMs = 60_000

/** Resolves a tag or digest. An image that does not exist is an answer. Throws RegistryError without a response. */
export function headManifest(
  repository: Repository,
  reference: string,
  signal: AbortSignal,
): Promise<ManifestAnswer> {
  return lookUpManifest({
    reference,
    headSupport: repository.headSupport,
    now: repository.now,
    send: async (method, consumer) => {
      const response = await repository.send({
        method,
        target: `manifests/${reference}`,
        headers: { accept: acceptHeader },
        maxBodyBytes: maxManifestBytes,
        ...(consumer === undefined ? {} : { consumer }),
        signal,
      })
      return { ok: true, response }
    },
  })
}

/**
 * Returns the manifest with this digest. `mediaType` is the type that its parent states, which may be one that Berth does not
 * know. Throws RegistryError.
 */
export async function getManifest(
  repository: Repository,
  { digest, mediaType }: { readonly digest: string; readonly mediaType?: string },
  signal: AbortSignal,
): Promise<RawManifest> {
  const isKnownType = mediaType === undefined || acceptHeader.includes(mediaType)
  const response = await repository.send({
    method: 'GET',
    target: `manifests/${digest}`,
    headers: { accept: isKnownType ? acceptHeader : `${acceptHeader}, ${mediaType}` },
    maxBodyBytes: maxManifestBytes,
    signal,
  })
  const name = `manifest ${repository.name}@${shortDigest(digest)}`
  if (response.status !== 200) throw registryErrorFor(repository, response, name)
  const { body } = response
  if (body === null) throw invalid(`${name} exceeds 4 MiB, or is compressed`)
  if (digestLike(digest, body) !== digest) {
    throw invalid(`${repository.host} sent another manifest instead of ${name}`)
  }
  return { digest, mediaType: readMediaType(response, body, mediaType), bytes: body }
}

/** Returns whether the repository has a manifest of any type with this digest. Throws RegistryError. */
export async function hasManifest(
  repository: Repository,
  digest: string,
  signal: AbortSignal,
): Promise<boolean> {
  const response = await repository.send({
    method: 'HEAD',
    target: `manifests/${digest}`,
    headers: { accept: `${acceptHeader}, */*` },
    signal,
  })
  if (response.status === 200 || response.status === 404) return response.status === 200
  const name = `manifest ${repository.name}@${shortDigest(digest)}`
  throw registryErrorFor(repository, response, name)
}

/** Returns the time in the header Last-Modified, in milliseconds since the epoch; null without one. Most registries send none. */
export async function lastModified(
  repository: Repository,
  digest: string,
  signal: AbortSignal,
): Promise<number | null> {
  const { status, header } = await repository.send({
    method: 'HEAD',
    target: `manifests/${digest}`,
    headers: { accept: acceptHeader },
    signal,
  })
  const time = Date.parse(status === 200 ? (header('last-modified')[0] ?? '') : '')
  return Number.isNaN(time) ? null : time
}

export interface PutResult {
  /** True if the registry keeps the list of referrers of the subject itself (distribution-spec, OCI-Subject). */
  readonly keepsReferrers: boolean
}

export interface PutOptions {
  readonly signal: AbortSignal
  /** See RepositoryRequest. */
  readonly finalStatus?: number
}

/** Puts these bytes under a tag or a digest. Throws RegistryError, with the status of the registry. */
export async function putManifest(
  repository: Repository,
  reference: string,
  { digest, mediaType, bytes }: RawManifest,
  options: PutOptions,
): Promise<PutResult> {
  const response = await repository.send({
    method: 'PUT',
    target: `manifests/${reference}`,
    headers: { 'content-type': mediaType },
    body: bytes,
    headersTimeoutMs: putTimeoutMs,
    ...options,
  })
  if (response.status !== 201) {
    const name = `PUT of manifest ${repository.name}:${reference}`
    throw explainMediaType(registryErrorFor(repository, response, name), mediaType)
  }
  const [stored] = response.header('docker-content-digest')
  // A digest with another algorithm cannot be compared.
  const isComparable = stored !== undefined && algorithmOf(stored) === algorithmOf(digest)
  if (isComparable && stored !== digest) {
    const digests = `${shortDigest(stored)} instead of ${shortDigest(digest)}`
    throw invalid(`${repository.host} stored the manifest as ${digests}`)
  }
  return { keepsReferrers: response.header('oci-subject').length > 0 }
}

/** Adds the media type to the error of a registry that refuses the manifest itself. */
function explainMediaType(error: RegistryError, mediaType: string): RegistryError {
  const { outcome, status, code, message } = error
  const isRefused = status === 415 || code === 'MANIFEST_INVALID' || code === 'UNSUPPORTED'
  if (!isRefused || !/^[\w.+/-]{1,100}$/.test(mediaType)) return error
  const detail = `${message}; the registry may not support its media type ${mediaType}`
  return new RegistryError({ outcome, detail }, { status, code })
}

/** Returns the type in the header unless it is generic, else that in the manifest, else the expected one. */
function readMediaType(
  response: HttpResponse,
  bytes: Buffer,
  expected: string | undefined,
): string {
  const [header = ''] = (response.header('content-type')[0] ?? '').split(';', 1)
  const stated = header.trim()
  if (stated !== '' && stated !== 'application/json' && stated !== 'application/octet-stream') {
    return stated
  }
  const { mediaType } = parseManifest(bytes, 'manifest')
  return typeof mediaType === 'string' ? mediaType : (expected ?? stated)
}

function invalid(detail: string): RegistryError {
  return new RegistryError(failed('invalid', detail))
}
