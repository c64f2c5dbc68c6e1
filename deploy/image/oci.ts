/** Builds OCI images and indexes in memory, and writes them as an OCI layout (image-spec, image-layout.md). */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { createTar, type TarEntry } from './tar.ts'

export interface Blob {
  readonly mediaType: string
  readonly digest: string
  readonly content: Buffer
}

export interface Layer extends Blob {
  /** The digest of the archive before compression. */
  readonly diffId: string
  readonly createdBy: string
}

export interface Image {
  readonly architecture: string
  readonly manifest: Blob
  readonly config: Blob
  readonly layers: readonly Layer[]
}

/** What a registry stores under one name. */
export interface Artifact {
  /** A manifest or an index. */
  readonly root: Blob
  /** The manifests in the index. */
  readonly manifests: readonly Blob[]
  readonly blobs: readonly Blob[]
}

export interface ImageSettings {
  readonly architecture: string
  readonly created: Date
  readonly config: object
  readonly annotations: Readonly<Record<string, string>>
}

export const ociType = (name: string): string => `application/vnd.oci.image.${name}`

/** The smallest output: an image is built once and pulled by every node. */
const compression = { level: 9 }

/**
 * A layer of these entries. Compressing Node.js takes half a minute, so `cache` keeps each compressed layer under the
 * digest of its archive and the version of zlib.
 */
export async function createLayer(
  entries: readonly TarEntry[],
  createdBy: string,
  cache: string,
): Promise<Layer> {
  const archive = await createTar(entries)
  const diffId = sha256(archive)
  const file = join(cache, `${diffId.slice('sha256:'.length)}-zlib-${process.versions.zlib}.tar.gz`)
  if (!existsSync(file)) {
    mkdirSync(cache, { recursive: true })
    // Renamed when it is complete: a process that builds at the same time, or after this one was killed, must not read a part.
    const partial = `${file}.${process.pid}`
    writeFileSync(partial, gzipSync(archive, compression))
    renameSync(partial, file)
  }
  return { ...createBlob(ociType('layer.v1.tar+gzip'), readFileSync(file)), diffId, createdBy }
}

/** The image of these layers. It depends on its arguments alone, not on the time or the machine. */
export function createImage(
  layers: readonly Layer[],
  { architecture, created, config, annotations }: ImageSettings,
): Image {
  const time = created.toISOString().replace('.000Z', 'Z')
  const imageConfig = createJsonBlob(ociType('config.v1+json'), {
    created: time,
    architecture,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ createdBy }) => ({ created: time, created_by: createdBy })),
  })
  const manifest = createManifest(imageConfig, layers, annotations)
  return { architecture, manifest, config: imageConfig, layers }
}

/** An index of images for several architectures, or the image itself if there is only one. */
export function createMultiPlatform(
  images: readonly [Image, ...Image[]],
  annotations: Readonly<Record<string, string>>,
): Artifact {
  const blobs = images.flatMap(({ config, layers }) => [config, ...layers])
  const manifests = images.map(({ manifest }) => manifest)
  if (images.length === 1) return { root: images[0].manifest, manifests: [], blobs }
  const root = createJsonBlob(ociType('index.v1+json'), {
    schemaVersion: 2,
    mediaType: ociType('index.v1+json'),
    manifests: images.map(({ architecture, manifest }) => ({
      ...descriptorOf(manifest),
      platform: { os: 'linux', architecture },
    })),
    annotations,
  })
  return { root, manifests, blobs }
}

/** A layer may have annotations of its own, such as a signature. */
export interface AnnotatedBlob extends Blob {
  readonly annotations?: Readonly<Record<string, string>>
}

/** A manifest of these blobs. */
export function createManifest(
  config: Blob,
  layers: readonly AnnotatedBlob[],
  annotations?: Readonly<Record<string, string>>,
): Blob {
  return createJsonBlob(ociType('manifest.v1+json'), {
    schemaVersion: 2,
    mediaType: ociType('manifest.v1+json'),
    config: descriptorOf(config),
    layers: layers.map((layer) => ({
      ...descriptorOf(layer),
      ...(layer.annotations && { annotations: layer.annotations }),
    })),
    ...(annotations && { annotations }),
  })
}

/** An artifact in a layout, under a name such as `berth:0.2.0`. */
export interface NamedArtifact {
  readonly name: string
  readonly artifact: Artifact
  readonly platform?: { readonly os: string; readonly architecture: string }
}

/**
 * Writes artifacts as an OCI layout, which `skopeo`, `crane`, `podman` and `ctr` read. Each name has a repository, because
 * `berth mirror --from` finds images by it.
 */
export function writeLayout(directory: string, artifacts: readonly NamedArtifact[]): void {
  const blobs = join(directory, 'blobs/sha256')
  mkdirSync(blobs, { recursive: true })
  for (const { artifact } of artifacts)
    for (const { digest, content } of [artifact.root, ...artifact.manifests, ...artifact.blobs])
      writeFileSync(join(blobs, digest.slice('sha256:'.length)), content)
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  const manifests = artifacts.map(({ name, artifact, platform }) => ({
    ...descriptorOf(artifact.root),
    ...(platform && { platform }),
    annotations: { 'org.opencontainers.image.ref.name': name },
  }))
  const index = { schemaVersion: 2, mediaType: ociType('index.v1+json'), manifests }
  writeFileSync(join(directory, 'index.json'), JSON.stringify(index))
}

function descriptorOf({ mediaType, digest, content }: Blob): object {
  return { mediaType, digest, size: content.length }
}

export function createJsonBlob(mediaType: string, value: object): Blob {
  return createBlob(mediaType, Buffer.from(JSON.stringify(value)))
}

export function createBlob(mediaType: string, content: Buffer): Blob {
  return { mediaType, digest: sha256(content), content }
}

/** The digest of these bytes, such as `sha256:…`. */
export function sha256(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}
