/** An image as the OCI has it: blobs named by their hash, and a directory to keep them in (image-spec, image-layout.md). */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type TarEntry, tarOf } from './tar.ts'

export interface Blob {
  readonly mediaType: string
  readonly digest: string
  readonly content: Buffer
}

export interface Layer extends Blob {
  /** The hash of the archive before it was compressed. */
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

const type = (name: string) => `application/vnd.oci.image.${name}`

/** Smallest: an image is made once and pulled by every node. */
const compression = { level: 9 }

/**
 * A layer of these entries. Compressing Node.js takes half a minute, so a layer is kept in `cache` under the hash of its
 * archive and of the zlib that compressed it.
 */
export function layerOf(entries: readonly TarEntry[], createdBy: string, cache: string): Layer {
  const archive = tarOf(entries)
  const diffId = sha256(archive)
  const kept = join(cache, `${diffId.slice('sha256:'.length)}-zlib-${process.versions.zlib}.tar.gz`)
  if (!existsSync(kept)) {
    mkdirSync(cache, { recursive: true })
    writeFileSync(kept, gzipSync(archive, compression))
  }
  return { ...blob('layer.v1.tar+gzip', readFileSync(kept)), diffId, createdBy }
}

/** Puts layers together; nothing in it is of this moment or this machine but what is given. */
export function imageOf(
  layers: readonly Layer[],
  { architecture, created, config, annotations }: ImageSettings,
): Image {
  const time = created.toISOString().replace('.000Z', 'Z')
  const settings = json('config.v1+json', {
    created: time,
    architecture,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ createdBy }) => ({ created: time, created_by: createdBy })),
  })
  const manifest = json('manifest.v1+json', {
    schemaVersion: 2,
    mediaType: type('manifest.v1+json'),
    config: descriptor(settings),
    layers: layers.map(descriptor),
    annotations,
  })
  return { manifest, config: settings, layers }
}

/** Writes the image as an OCI layout, which `skopeo`, `crane`, `podman` and `ctr` read. */
export function writeLayout(directory: string, image: Image, platform: object, name: string): void {
  const blobs = join(directory, 'blobs/sha256')
  mkdirSync(blobs, { recursive: true })
  for (const { digest, content } of [image.manifest, image.config, ...image.layers])
    writeFileSync(join(blobs, digest.slice('sha256:'.length)), content)
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  const entry = {
    ...descriptor(image.manifest),
    platform,
    annotations: { 'org.opencontainers.image.ref.name': name },
  }
  const index = { schemaVersion: 2, mediaType: type('index.v1+json'), manifests: [entry] }
  writeFileSync(join(directory, 'index.json'), JSON.stringify(index))
}

function descriptor({ mediaType, digest, content }: Blob): object {
  return { mediaType, digest, size: content.length }
}

function json(name: string, value: object): Blob {
  return blob(name, Buffer.from(JSON.stringify(value)))
}

function blob(name: string, content: Buffer): Blob {
  return { mediaType: type(name), digest: sha256(content), content }
}

function sha256(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}
