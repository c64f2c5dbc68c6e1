/** Builds an OCI image in memory and writes it as an OCI layout (image-spec, image-layout.md). */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
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
  readonly manifest: Blob
  readonly config: Blob
  readonly layers: readonly Layer[]
}

export interface ImageSettings {
  readonly architecture: string
  readonly created: Date
  readonly config: object
  readonly annotations: Readonly<Record<string, string>>
}

const ociType = (name: string) => `application/vnd.oci.image.${name}`

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
    writeFileSync(file, gzipSync(archive, compression))
  }
  return { ...createBlob('layer.v1.tar+gzip', readFileSync(file)), diffId, createdBy }
}

/** The image of these layers. It depends on its arguments alone, not on the time or the machine. */
export function createImage(
  layers: readonly Layer[],
  { architecture, created, config, annotations }: ImageSettings,
): Image {
  const time = created.toISOString().replace('.000Z', 'Z')
  const imageConfig = createJsonBlob('config.v1+json', {
    created: time,
    architecture,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ createdBy }) => ({ created: time, created_by: createdBy })),
  })
  const manifest = createJsonBlob('manifest.v1+json', {
    schemaVersion: 2,
    mediaType: ociType('manifest.v1+json'),
    config: descriptorOf(imageConfig),
    layers: layers.map(descriptorOf),
    annotations,
  })
  return { manifest, config: imageConfig, layers }
}

/**
 * Writes the image as an OCI layout, which `skopeo`, `crane`, `podman` and `ctr` read. The name has a repository, because
 * `berth mirror --from` finds images by it.
 */
export function writeLayout(
  directory: string,
  image: Image,
  platform: object,
  version: string,
): void {
  const blobs = join(directory, 'blobs/sha256')
  mkdirSync(blobs, { recursive: true })
  for (const { digest, content } of [image.manifest, image.config, ...image.layers])
    writeFileSync(join(blobs, digest.slice('sha256:'.length)), content)
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  const entry = {
    ...descriptorOf(image.manifest),
    platform,
    annotations: { 'org.opencontainers.image.ref.name': `berth:${version}` },
  }
  const index = { schemaVersion: 2, mediaType: ociType('index.v1+json'), manifests: [entry] }
  writeFileSync(join(directory, 'index.json'), JSON.stringify(index))
}

function descriptorOf({ mediaType, digest, content }: Blob): object {
  return { mediaType, digest, size: content.length }
}

function createJsonBlob(name: string, value: object): Blob {
  return createBlob(name, Buffer.from(JSON.stringify(value)))
}

function createBlob(name: string, content: Buffer): Blob {
  return { mediaType: ociType(name), digest: sha256(content), content }
}

function sha256(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}
