/** Reads an image as a tree: its manifest, the manifests below it, and their blobs. */
import { LRUCache } from 'lru-cache'
import { platformOf } from '../decision/platforms/platform.ts'
import { isDigest } from '../decision/reference/parse.ts'
import { textMember } from '../json/json.ts'
import type { BlobDescriptor } from '../registry/blobs/blob-source.ts'
import { shortDigest } from '../registry/digest.ts'
import { failed } from '../registry/http/network-error.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import { parseManifest } from '../registry/manifests/manifest-json.ts'
import type { RawManifest } from '../registry/manifests/manifests.ts'
import type { ImageRepository } from '../registry/images/image-store.ts'

export interface ManifestNode {
  readonly manifest: RawManifest
  readonly children: readonly ManifestNode[]
  readonly blobs: readonly TreeBlob[]
  /** For example `linux/arm64/v8`; null if the parent states none, as for an index or an attestation. */
  readonly platform: string | null
  /** The digests of attestations that an index lists and the repository does not have. */
  readonly missingAttestations: readonly string[]
}

/** A config or layer of an image. */
export interface TreeBlob extends BlobDescriptor {
  /** Only for a foreign layer: where its vendor serves it. */
  readonly vendorUrls?: readonly URL[]
}

/** Thrown for a manifest that an index lists and the repository does not have. */
export class MissingManifestError extends RegistryError {}

export interface ReadTreeOptions {
  readonly signal: AbortSignal
  /** True: leaves out attestations that the repository does not have. Default: false. */
  readonly allowMissingAttestations?: boolean
}

/** The trees that a dry run read. The copy after it uses them, so that they count once against a pull limit. */
export interface TreeCache {
  get(key: string): ManifestNode | undefined
  set(key: string, tree: ManifestNode): unknown
  delete(key: string): unknown
}

interface Descriptor extends TreeBlob {
  readonly mediaType: string
  readonly platform?: unknown
  readonly annotations?: unknown
}

/** Images nest two deep; the limit stops a malicious one. */
const maxDepth = 8

/** Ten times the manifests of the largest image seen. */
const maxManifests = 300

/** All manifests of an image are kept in memory until they are put. */
const maxTreeBytes = 32 * 1024 * 1024

/** Trees of some hundred usual images. Those beyond are read again. */
const maxCachedBytes = 2 * maxTreeBytes

/** Layers that runtimes may fetch from their vendor (image-spec, Non-Distributable Layers), as in old images of Windows. */
const foreignType = /\.(?:foreign|nondistributable)\./

export function createTreeCache(): TreeCache {
  return new LRUCache<string, ManifestNode>({ maxSize: maxCachedBytes, sizeCalculation: sizeOf })
}

/** The memory of a tree: the bytes of its manifests, and about as much for what was parsed. */
function sizeOf({ manifest, children }: ManifestNode): number {
  const ofChildren = children.reduce((total, child) => total + sizeOf(child), 0)
  return 2 * manifest.bytes.length + 512 + ofChildren
}

/** A manifest to read: the root, or an entry of an index. */
interface ManifestRef {
  readonly digest: string
  readonly mediaType?: string
  readonly platform?: unknown
  readonly annotations?: unknown
  /** The manifest itself, if it is known already. */
  readonly manifest?: RawManifest
}

/**
 * Reads the whole tree below a digest. Artifacts, configs and layers of unknown types are blobs like any other. Throws
 * RegistryError, and MissingManifestError for a manifest below the root that does not exist.
 */
export function readTree(
  repository: ImageRepository,
  root: ManifestRef,
  { signal, allowMissingAttestations = false }: ReadTreeOptions,
): Promise<ManifestNode> {
  let count = 0
  let bytes = 0

  const readNode = async (ref: ManifestRef, depth: number): Promise<ManifestNode> => {
    count += 1
    if (count > maxManifests) {
      throw invalid(`the image in ${repository.name} has more than ${maxManifests} manifests`)
    }
    if (depth > maxDepth) {
      throw invalid(`the image in ${repository.name} nests indexes more than ${maxDepth} deep`)
    }
    const manifest = ref.manifest ?? (await repository.getManifest(ref, signal))
    bytes += manifest.bytes.length
    if (bytes > maxTreeBytes) {
      throw invalid(`the manifests of the image in ${repository.name} exceed 32 MiB`)
    }
    const { manifests, config, layers, blobs } = parse(manifest)
    const refs = manifests === undefined ? [] : unique(descriptors(manifests, manifest))
    // All at once: the transport limits the connections.
    const children = await Promise.all(refs.map((each) => readChild(each, depth + 1)))
    const referenced = [
      ...descriptors(config === undefined ? [] : [config], manifest),
      ...descriptors(layers ?? [], manifest),
      ...descriptors(blobs ?? [], manifest),
    ]
    return {
      manifest,
      platform: platformOf(ref.platform),
      children: children.filter((child) => child !== null),
      missingAttestations: refs.flatMap(({ digest }, at) =>
        children[at] === null ? [digest] : [],
      ),
      blobs: unique(referenced),
    }
  }

  /** Null for an attestation that is missing and may be missing. */
  const readChild = async (ref: ManifestRef, depth: number): Promise<ManifestNode | null> => {
    try {
      return await readNode(ref, depth)
    } catch (error) {
      const isMissing = error instanceof RegistryError && error.outcome === 'absent'
      if (!isMissing || error instanceof MissingManifestError) throw error
      if (allowMissingAttestations && isAttestation(ref)) return null
      throw missingManifest(repository, ref)
    }
  }

  return readNode(root, 0)
}

/** Attestations of BuildKit are in the index of the image (moby/buildkit, docs/attestations/attestation-storage.md). */
function isAttestation({ annotations }: ManifestRef): boolean {
  return textMember(annotations, 'vnd.docker.reference.type') === 'attestation-manifest'
}

function missingManifest({ host, name }: ImageRepository, ref: ManifestRef): MissingManifestError {
  const platform = platformOf(ref.platform)
  const what = isAttestation(ref) ? 'an attestation' : (platform ?? 'a manifest')
  const fix = isAttestation(ref) ? '; --allow-missing-attestations copies the image without it' : ''
  const detail = `the index in ${name} lists ${what} (${shortDigest(ref.digest)}) that ${host} does not have${fix}`
  return new MissingManifestError({ outcome: 'absent', detail })
}

/** Returns the digests of all attestations that are missing in the tree. */
export function missingAttestations(root: ManifestNode): readonly string[] {
  return [...new Set(postOrder(root).flatMap((node) => node.missingAttestations))]
}

/** Returns each manifest once, children before their parents. */
export function postOrder(root: ManifestNode): readonly ManifestNode[] {
  const nodes = new Map<string, ManifestNode>()
  const visit = (node: ManifestNode): void => {
    for (const child of node.children) visit(child)
    if (!nodes.has(node.manifest.digest)) nodes.set(node.manifest.digest, node)
  }
  visit(root)
  return [...nodes.values()]
}

/** Returns each blob of the tree once. */
export function blobsOf(root: ManifestNode): readonly TreeBlob[] {
  return unique(postOrder(root).flatMap(({ blobs }) => blobs))
}

/** Returns the platforms of an index, sorted. */
export function platformsOf(root: ManifestNode): readonly string[] {
  const platforms = postOrder(root).flatMap(({ platform }) => (platform === null ? [] : [platform]))
  return [...new Set(platforms)].sort()
}

/** Returns the digest of each platform in an index; empty for any other manifest. */
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

interface ParsedManifest {
  readonly manifests?: unknown
  readonly config?: unknown
  readonly layers?: unknown
  readonly blobs?: unknown
}

function parse({ bytes, digest }: RawManifest): ParsedManifest {
  const document = parseManifest(bytes, `manifest ${shortDigest(digest)}`)
  if (document['schemaVersion'] === 1) {
    throw invalid('schema 1 image, which current runtimes cannot run; push it again')
  }
  return document
}

function descriptors(list: unknown, { digest: parent }: RawManifest): Descriptor[] {
  const name = `manifest ${shortDigest(parent)}`
  if (!Array.isArray(list)) throw invalid(`${name} has a list of descriptors that is not a list`)
  return list.map((entry: unknown): Descriptor => {
    const { digest, size, mediaType, platform, annotations, urls } = (entry ?? {}) as Partial<
      Descriptor & { readonly urls: unknown }
    >
    const isSize = typeof size === 'number' && Number.isSafeInteger(size) && size >= 0
    if (typeof digest !== 'string' || !isDigest(digest) || !isSize) {
      throw invalid(`${name} has a descriptor without a valid digest and size`)
    }
    const type = typeof mediaType === 'string' ? mediaType : ''
    const foreign = foreignType.test(type) ? { vendorUrls: httpUrls(urls) } : {}
    return { digest, size, mediaType: type, platform, annotations, ...foreign }
  })
}

function httpUrls(urls: unknown): readonly URL[] {
  if (!Array.isArray(urls)) return []
  const valid = urls.filter((url) => typeof url === 'string' && URL.canParse(url))
  return valid
    .map((url: string) => new URL(url))
    .filter(({ protocol, username, password }) => {
      return (protocol === 'https:' || protocol === 'http:') && username === '' && password === ''
    })
}

function unique<Item extends BlobDescriptor>(items: readonly Item[]): readonly Item[] {
  return [...new Map(items.map((item) => [item.digest, item])).values()]
}

function invalid(detail: string): RegistryError {
  return new RegistryError(failed('invalid', detail))
}
