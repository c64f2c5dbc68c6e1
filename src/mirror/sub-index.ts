/** Builds an index with some of the platforms of an image. */
import { platformOf } from '../decision/platforms/platform.ts'
import { isObject, member, textMember } from '../json/json.ts'
import { digestLike, shortDigest } from '../registry/digest.ts'
import { failed } from '../registry/http/network-error.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import { parseManifest } from '../registry/manifests/manifest-json.ts'
import type { RawManifest } from '../registry/manifests/manifests.ts'

/** The annotation of an index that Berth made, with the platforms that were selected. */
const platformsAnnotation = 'dev.berth.platforms'

/**
 * Returns the index with only these platforms and their attestations; null if the image is not an index, or has no others.
 * `linux/arm64` also selects its variants. The same index always gives the same digest. Throws RegistryError if a platform is
 * missing.
 */
export function createSubIndex(
  manifest: RawManifest,
  platforms: readonly string[],
): RawManifest | null {
  const name = `manifest ${shortDigest(manifest.digest)}`
  const document = parseManifest(manifest.bytes, name)
  const { manifests } = document
  if (!Array.isArray(manifests)) return null
  const names = manifests.map((entry: unknown) => platformOf(member(entry, 'platform')))
  const missing = platforms.filter((wanted) => !names.some((each) => isPart(each, wanted)))
  if (missing.length > 0) {
    const existing = [...new Set(names)].filter((each) => each !== null).sort()
    const detail = `the image has no platform ${missing.join(', ')}; it has ${existing.join(', ')}`
    throw new RegistryError(failed('invalid', detail))
  }
  const kept = manifests.filter((_, at) =>
    platforms.some((wanted) => isPart(names[at] ?? null, wanted)),
  )
  const digests = new Set(kept.map((entry: unknown) => textMember(entry, 'digest')))
  const isWanted = (entry: unknown) =>
    kept.includes(entry) || digests.has(attestedDigest(entry) ?? '')
  const selected = manifests.filter(isWanted)
  if (selected.length === manifests.length) return null
  const own = isObject(document['annotations']) ? document['annotations'] : {}
  const annotations = { ...own, [platformsAnnotation]: [...new Set(platforms)].sort().join(',') }
  const bytes = Buffer.from(JSON.stringify({ ...document, manifests: selected, annotations }))
  return {
    digest: digestLike('sha256:', bytes),
    mediaType: manifest.mediaType,
    bytes,
  }
}

function isPart(platform: string | null, wanted: string): boolean {
  return platform === wanted || platform?.startsWith(`${wanted}/`) === true
}

/** Returns the digest of the manifest that an attestation of BuildKit is about. */
function attestedDigest(entry: unknown): string | null {
  const annotations = member(entry, 'annotations')
  if (textMember(annotations, 'vnd.docker.reference.type') !== 'attestation-manifest') return null
  return textMember(annotations, 'vnd.docker.reference.digest')
}

/**
 * Returns the platforms that were selected for the index of a mirror, if the same selection from the current index of upstream
 * gives the same index; else null.
 */
export function selectedPlatforms(
  upstream: RawManifest | null,
  mirror: RawManifest | null,
): readonly string[] | null {
  if (upstream === null || mirror === null) return null
  const document = parseManifest(mirror.bytes, `manifest ${shortDigest(mirror.digest)}`)
  const text = textMember(document['annotations'], platformsAnnotation)
  if (text === '') return null
  const platforms = text.split(',')
  try {
    return createSubIndex(upstream, platforms)?.digest === mirror.digest ? platforms : null
  } catch (error) {
    // Upstream no longer has one of the platforms.
    if (error instanceof RegistryError) return null
    throw error
  }
}
