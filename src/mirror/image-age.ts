/** Finds the time at which an image was created, from its configs and from the registry. */
import { textMember } from '../json/json.ts'
import type { ImageRepository } from '../registry/images/image-store.ts'
import { readBlob, readDescriptor } from '../registry/images/read-blob.ts'
import { maxManifestBytes, parseManifestOrEmpty } from '../registry/manifests/manifest-json.ts'
import { type ManifestNode, postOrder } from './image-tree.ts'

/** Reproducible builds state 1970 or 1980. Docker's first release was in March 2013 (moby, CHANGELOG.md). */
const firstImageAt = Date.UTC(2013, 2, 1)

/** More platforms than any image has. Each config takes a request. */
const maxConfigs = 64

/**
 * Returns the newest time at which a part of the image was created, or that the registry states as Last-Modified, in
 * milliseconds since the epoch; null if neither is known. The builder of the image decides what it states.
 */
export async function imageTime(
  repository: ImageRepository,
  tree: ManifestNode,
  signal: AbortSignal,
): Promise<number | null> {
  const [stored, created] = await Promise.all([
    repository.lastModified?.(tree.manifest.digest, signal) ?? null,
    createdTime(repository, tree, signal),
  ])
  const modified = plausible(stored)
  return modified === null || created === null ? (modified ?? created) : Math.max(modified, created)
}

/** Returns null if the time of any platform is unknown. */
async function createdTime(
  repository: ImageRepository,
  tree: ManifestNode,
  signal: AbortSignal,
): Promise<number | null> {
  const images = imagesOf(tree)
  if (images.length > maxConfigs) return null
  const times: number[] = []
  for (const { manifest } of images) {
    const { config, annotations } = parseManifestOrEmpty(manifest.bytes)
    const time =
      (await configTime(repository, config, signal)) ??
      parseTime(textMember(annotations, 'org.opencontainers.image.created'))
    if (time === null) return null
    times.push(time)
  }
  return times.length === 0 ? null : Math.max(...times)
}

/** Returns the manifests of platforms, or all others if none states a platform. Attestations state none. */
function imagesOf(tree: ManifestNode): readonly ManifestNode[] {
  const leaves = postOrder(tree).filter(({ children }) => children.length === 0)
  const platforms = leaves.filter(({ platform }) => platform !== null)
  return platforms.length === 0 ? leaves : platforms
}

async function configTime(
  repository: ImageRepository,
  config: unknown,
  signal: AbortSignal,
): Promise<number | null> {
  const descriptor = readDescriptor(config)
  if (descriptor === null) return null
  const bytes = await readBlob(repository, descriptor, { maxBytes: maxManifestBytes, signal })
  return parseTime(textMember(parseManifestOrEmpty(bytes), 'created'))
}

/** Null for a text without a time, or with a time before the first image. */
function parseTime(text: string): number | null {
  return plausible(text.length > 64 ? null : Date.parse(text))
}

function plausible(time: number | null): number | null {
  return time !== null && time >= firstImageAt ? time : null
}
