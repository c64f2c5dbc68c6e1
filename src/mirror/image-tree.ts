/** An image as a tree: the manifest that a tag names, those below it, and the blobs of all of them. */
import { failed } from '../registry/http/network-error.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import type { BlobDescriptor } from '../registry/blobs/blob-source.ts'
import { isDigest } from '../decision/reference/parse.ts'
import { getManifest, type RawManifest, shortDigest } from '../registry/manifests/manifests.ts'
import type { Repository } from '../registry/registry-client.ts'

export interface ManifestNode {
  readonly manifest: RawManifest
  readonly children: readonly ManifestNode[]
  readonly blobs: readonly BlobDescriptor[]
  /** `linux/arm64/v8`; null where nobody says so, as for an index or an attestation. */
  readonly platform: string | null
}

interface Descriptor extends BlobDescriptor {
  readonly mediaType: string
  readonly platform?: unknown
  readonly urls?: unknown
}

/** Nobody nests deeper than two; the limit is against somebody who would. */
const maxDepth = 8

/** Ten times what the image of the most platforms and attestations has; each may have 4 MiB and is kept until it is put. */
const maxManifests = 300

/** Where in a tree a manifest stands, and how many of it have been read. */
interface TreePosition {
  readonly depth: number
  readonly read: { count: number }
}

/** Layers that are fetched from their vendor, and that a registry need not have (image-spec, Non-Distributable Layers). */
const foreign = /\.(?:foreign|nondistributable)\./

/** Reads the whole tree below a digest. Unknown types of artifacts, configs and layers are blobs like any other. */
export async function readTree(
  repository: Repository,
  root: { readonly digest: string; readonly mediaType?: string; readonly platform?: unknown },
  signal: AbortSignal,
  place: TreePosition = { depth: 0, read: { count: 0 } },
): Promise<ManifestNode> {
  const { depth, read } = place
  read.count += 1
  if (read.count > maxManifests) {
    throw invalid(`${repository.name} has more than ${maxManifests} manifests in one image`)
  }
  if (depth > maxDepth)
    throw invalid(`${repository.name}: indexes are nested more than ${maxDepth} deep`)
  const manifest = await getManifest(repository, root, signal)
  const { manifests, config, layers, blobs } = parse(manifest)
  const children = manifests === undefined ? [] : unique(descriptors(manifests, manifest))
  const own = [...descriptors(config === undefined ? [] : [config], manifest)]
  own.push(...descriptors(layers ?? [], manifest), ...descriptors(blobs ?? [], manifest))
  return {
    manifest,
    platform: platformOf(root.platform),
    // Few enough to be asked for at once; an index of a hundred platforms waits in the transport's line.
    children: await Promise.all(
      children.map((child) => readTree(repository, child, signal, { depth: depth + 1, read })),
    ),
    blobs: unique(own.filter((each) => !foreign.test(each.mediaType))),
  }
}

/** Children before their parents, each once. */
export function postOrder(root: ManifestNode): readonly ManifestNode[] {
  const seen = new Map<string, ManifestNode>()
  const visit = (node: ManifestNode): void => {
    for (const child of node.children) visit(child)
    if (!seen.has(node.manifest.digest)) seen.set(node.manifest.digest, node)
  }
  visit(root)
  return [...seen.values()]
}

/** Every blob of the tree, each once. */
export function blobsOf(root: ManifestNode): readonly BlobDescriptor[] {
  return unique(postOrder(root).flatMap(({ blobs }) => blobs))
}

/** The platforms of an index, sorted. */
export function platformsOf(root: ManifestNode): readonly string[] {
  const found = postOrder(root).flatMap(({ platform }) => (platform === null ? [] : [platform]))
  return [...new Set(found)].sort()
}

/** The digest of each platform that an index names itself; empty for what is no index. */
export function platformDigests(manifest: RawManifest): ReadonlyMap<string, string> {
  const { manifests } = parse(manifest)
  if (manifests === undefined) return new Map()
  return new Map(
    descriptors(manifests, manifest).flatMap(({ platform, digest }) => {
      const name = platformOf(platform)
      return name === null ? [] : [[name, digest] as const]
    }),
  )
}

interface Parsed {
  readonly manifests?: unknown
  readonly config?: unknown
  readonly layers?: unknown
  readonly blobs?: unknown
}

function parse({ bytes, digest }: RawManifest): Parsed {
  let document: unknown
  try {
    document = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw invalid(`manifest ${shortDigest(digest)} is not JSON`)
  }
  if (typeof document !== 'object' || document === null) {
    throw invalid(`manifest ${shortDigest(digest)} is not a JSON object`)
  }
  if ((document as { readonly schemaVersion?: unknown }).schemaVersion === 1) {
    throw invalid('schema 1 image, which runtimes no longer run; push it again')
  }
  return document
}

function descriptors(list: unknown, { digest: parent }: RawManifest): Descriptor[] {
  if (!Array.isArray(list)) throw invalid(`manifest ${shortDigest(parent)} has a list that is none`)
  return list.map((entry: unknown): Descriptor => {
    const { digest, size, mediaType, platform, urls } = (entry ?? {}) as Partial<Descriptor>
    const isSize = typeof size === 'number' && Number.isSafeInteger(size) && size >= 0
    if (typeof digest !== 'string' || !isDigest(digest) || !isSize) {
      throw invalid(`manifest ${shortDigest(parent)} has an entry without digest and size`)
    }
    return {
      digest,
      size,
      mediaType: typeof mediaType === 'string' ? mediaType : '',
      platform,
      urls,
    }
  })
}

function unique<Item extends BlobDescriptor>(items: readonly Item[]): readonly Item[] {
  return [...new Map(items.map((item) => [item.digest, item])).values()]
}

/** Attestations say `unknown/unknown`, and are for no platform. */
function platformOf(platform: unknown): string | null {
  const { os, architecture, variant } = (platform ?? {}) as Readonly<Record<string, unknown>>
  if (typeof os !== 'string' || typeof architecture !== 'string' || os === 'unknown') return null
  return [
    os,
    architecture,
    ...(typeof variant === 'string' && variant !== '' ? [variant] : []),
  ].join('/')
}

function invalid(detail: string): RegistryError {
  return new RegistryError(failed('invalid', detail))
}
