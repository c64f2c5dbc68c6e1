/** Reads which platforms an image has: those of an index from the index, and that of a single image from its config. */
import { platformOf } from '../../decision/platforms/platform.ts'
import type { PlatformEntry, PlatformsAnswer } from '../../decision/resolve/platform-lookup.ts'
import { isDigest } from '../../decision/reference/parse.ts'
import { isObject, member, textMember } from '../../json/json.ts'
import { digestLike } from '../digest.ts'
import type { HttpResponse, SendResult } from '../http/messages.ts'
import { acceptHeader } from './manifest-headers.ts'
import { maxManifestBytes, parseManifestOrEmpty } from './manifest-json.ts'

/** Sends a GET for a path below the repository, such as `manifests/sha256:…`. */
export type GetBelowRepository = (
  path: string,
  options: { readonly headers: Readonly<Record<string, string>>; readonly maxBodyBytes: number },
) => Promise<SendResult>

/** A config takes tens of kilobytes: the history and the environment of the image. */
const maxConfigBytes = 1024 * 1024

/** The largest index seen has 300 manifests. */
const maxEntries = 1_000

/** Returns the platforms of the image with this digest. Every failure of a registry is an answer. */
export async function readPlatforms(
  digest: string,
  get: GetBelowRepository,
): Promise<PlatformsAnswer> {
  const manifest = await readDocument(digest, `manifests/${digest}`, get, {
    headers: { accept: acceptHeader },
    maxBodyBytes: maxManifestBytes,
  })
  if (!manifest.ok) return manifest
  const { manifests, config } = manifest.document
  if (Array.isArray(manifests)) return entriesOf(manifests)
  const configDigest = textMember(config, 'digest')
  if (!isDigest(configDigest)) return unknown('the manifest names no config')
  const read = await readDocument(configDigest, `blobs/${configDigest}`, get, {
    headers: {},
    maxBodyBytes: maxConfigBytes,
  })
  if (!read.ok) return read
  const platform = platformOf(read.document)
  if (platform === null) return unknown('the config names no platform')
  return { ok: true, entries: [{ platform, digest: null }] }
}

/** An index below the index, or an entry without a platform, may have any platform. */
function entriesOf(manifests: readonly unknown[]): PlatformsAnswer {
  if (manifests.length > maxEntries) return unknown('the index has too many manifests')
  const entries: PlatformEntry[] = []
  for (const entry of manifests) {
    const given = member(entry, 'platform')
    const digest = textMember(entry, 'digest')
    const platform = platformOf(given)
    // An attestation has the platform `unknown/unknown`.
    if (platform === null && isObject(given)) continue
    if (platform === null || !isDigest(digest))
      return unknown('the index has a manifest without a platform')
    entries.push({ platform, digest })
  }
  return { ok: true, entries }
}

type ReadDocument =
  | { readonly ok: true; readonly document: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly detail: string }

async function readDocument(
  digest: string,
  path: string,
  get: GetBelowRepository,
  options: Parameters<GetBelowRepository>[1],
): Promise<ReadDocument> {
  const sent = await get(path, options)
  if (!sent.ok) return unknown(sent.failure.detail)
  const { status, body }: HttpResponse = sent.response
  if (status !== 200) return unknown(`the registry answered ${status}`)
  if (body === null || digestLike(digest, body) !== digest)
    return unknown('the content does not have its digest')
  return { ok: true, document: parseManifestOrEmpty(body) }
}

function unknown(detail: string): { readonly ok: false; readonly detail: string } {
  return { ok: false, detail }
}
