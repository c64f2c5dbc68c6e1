/** Manifests as bytes: got with their hash checked, put unchanged. */
import { createHash } from 'node:crypto'
import type { ManifestAnswer } from '../../decision/resolve/manifest-source.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import { acceptHeader, lookUpManifest, maxManifestBytes } from './manifest-lookup.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'
import type { HttpResponse } from '../http/transport.ts'

export interface RawManifest {
  readonly digest: string
  readonly mediaType: string
  readonly bytes: Buffer
}

/** A registry may check that everything is there before it takes an index of a hundred entries. */
const putSilenceMs = 60_000

/** What a tag or digest stands for. An image that is not there is an answer; throws only when there is none. */
export function headManifest(
  repository: Repository,
  reference: string,
  signal: AbortSignal,
): Promise<ManifestAnswer> {
  return lookUpManifest({
    reference,
    now: repository.now,
    send: async (method) => {
      const response = await repository.send({
        method,
        target: `manifests/${reference}`,
        headers: { accept: acceptHeader },
        maxBodyBytes: maxManifestBytes,
        signal,
      })
      return { ok: true, response }
    },
  })
}

/** The manifest of this digest. `mediaType`: what its parent calls it, for types that nobody has heard of. */
export async function getManifest(
  repository: Repository,
  { digest, mediaType }: { readonly digest: string; readonly mediaType?: string },
  signal: AbortSignal,
): Promise<RawManifest> {
  const known = mediaType === undefined || acceptHeader.includes(mediaType)
  const response = await repository.send({
    method: 'GET',
    target: `manifests/${digest}`,
    headers: { accept: known ? acceptHeader : `${acceptHeader}, ${mediaType}` },
    maxBodyBytes: maxManifestBytes,
    signal,
  })
  const what = `${repository.name}@${shortDigest(digest)}`
  if (response.status !== 200) throw registryErrorFor(repository, response, `for manifest ${what}`)
  if (response.body === null) throw invalid(`manifest ${what} is above 4 MiB, or compressed`)
  if (hashLike(response.body, digest) !== digest) {
    throw invalid(`${repository.host} answered with another manifest than ${what}`)
  }
  return { digest, mediaType: typeOf(response, response.body, mediaType), bytes: response.body }
}

/** Whether the repository has a manifest of this digest, whatever its type. */
export async function hasManifest(
  repository: Repository,
  digest: string,
  signal: AbortSignal,
): Promise<boolean> {
  const headers = { accept: `${acceptHeader}, */*` }
  const response = await repository.send({
    method: 'HEAD',
    target: `manifests/${digest}`,
    headers,
    signal,
  })
  if (response.status === 200 || response.status === 404) return response.status === 200
  throw registryErrorFor(
    repository,
    response,
    `for manifest ${repository.name}@${shortDigest(digest)}`,
  )
}

export interface PutResult {
  /** True when the registry itself keeps the list of what refers to the subject (distribution-spec, OCI-Subject). */
  readonly keepsReferrers: boolean
}

/** Puts these bytes under a tag or a digest. Throws RegistryError; its status is the registry's. */
export async function putManifest(
  repository: Repository,
  reference: string,
  { digest, mediaType, bytes }: RawManifest,
  signal: AbortSignal,
): Promise<PutResult> {
  const response = await repository.send({
    method: 'PUT',
    target: `manifests/${reference}`,
    headers: { 'content-type': mediaType },
    body: bytes,
    headersTimeoutMs: putSilenceMs,
    signal,
  })
  if (response.status !== 201)
    throw registryErrorFor(repository, response, `to manifest ${repository.name}:${reference}`)
  const [stated] = response.header('docker-content-digest')
  // Another algorithm is another name for the same bytes.
  if (
    stated !== undefined &&
    stated.split(':', 1)[0] === digest.split(':', 1)[0] &&
    stated !== digest
  ) {
    throw invalid(
      `${repository.host} stored ${shortDigest(stated)} where ${shortDigest(digest)} was sent`,
    )
  }
  return { keepsReferrers: response.header('oci-subject').length > 0 }
}

/** Enough of a digest to tell two apart in a sentence: 12 digits, as docker shows them. */
export function shortDigest(digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':')
  return `${algorithm}:${hex.slice(0, 12)}`
}

/** The hash of these bytes by the algorithm of that digest. */
export function hashLike(bytes: Buffer, digest: string): string {
  const [algorithm = ''] = digest.split(':', 1)
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

function typeOf(response: HttpResponse, bytes: Buffer, expected: string | undefined): string {
  const [header = ''] = (response.header('content-type')[0] ?? '').split(';', 1)
  const stated = header.trim()
  if (stated !== '' && stated !== 'application/json' && stated !== 'application/octet-stream') {
    return stated
  }
  const { mediaType } = parseObject(bytes)
  return typeof mediaType === 'string' ? mediaType : (expected ?? stated)
}

function parseObject(bytes: Buffer): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(bytes.toString('utf8')) ?? {}) as Readonly<Record<string, unknown>>
  } catch {
    throw invalid('manifest is not JSON')
  }
}

function invalid(detail: string): RegistryError {
  return new RegistryError(failed('invalid', detail))
}
