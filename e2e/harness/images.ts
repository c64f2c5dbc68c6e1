/** Images that the tests push to registries. */
import { readFileSync } from 'node:fs'
import { createTar } from '../../deploy/image/tar.ts'
import type { Descriptor, Repository } from './registry-client.ts'
import { deleteDigest, digestOfTag, oci, pushBlob, pushManifest } from './registry-client.ts'

/** The content of an image: one executable, from a file or given as bytes. */
export type ImageContent = {
  /** The path of a static program, which becomes the entry point `/run`. */
  binary?: string
  /** The bytes of the entry point, for images that are not started. */
  content?: string | Buffer
  /** A label: images with different markers have different digests. */
  marker?: string
}

/** An image for one platform under a tag. The platform is `os/architecture`; default: this machine's. */
export type ImageSpec = Repository & ImageContent & { tag: string; platform?: string }

/** An image for several platforms, as an index under one tag. */
export type IndexSpec = Repository & ImageContent & { tag: string; platforms?: readonly string[] }

const architecture = process.arch === 'x64' ? 'amd64' : process.arch
const machine = `linux/${architecture}`

/** Pushes an image with a single manifest; returns the manifest's digest. */
export async function pushImage(spec: ImageSpec): Promise<string> {
  const { digest } = await pushOne(spec, spec.platform ?? machine, spec.tag)
  return digest
}

/** Pushes a multi-platform image; returns the digest of the index, and the digests of its manifests by platform. */
export async function pushIndex(
  spec: IndexSpec,
): Promise<{ digest: string; manifests: Record<string, string> }> {
  const platforms = spec.platforms ?? ['linux/amd64', 'linux/arm64']
  const entries: (Descriptor & { platform: { os: string; architecture: string } })[] = []
  const manifests: Record<string, string> = {}
  for (const platform of platforms) {
    const child = await pushOne(spec, platform)
    entries.push({ ...child, platform: platformOf(platform) })
    manifests[platform] = child.digest
  }
  const { digest } = await pushManifest(spec, oci.index, { manifests: entries }, spec.tag)
  return { digest, manifests }
}

/** Deletes a manifest by tag or digest. A registry deletes manifests, so every other tag of the manifest goes too. */
export async function deleteManifest(from: Repository, reference: string): Promise<void> {
  const digest = reference.startsWith('sha256:') ? reference : await digestOfTag(from, reference)
  if (digest === undefined) throw new Error(`${from.repository}:${reference} does not exist`)
  await deleteDigest(from, digest)
}

async function pushOne(
  spec: Repository & ImageContent,
  platform: string,
  tag?: string,
): Promise<Descriptor> {
  const file = { path: 'run', content: entryPoint(spec), mode: 0o755 }
  const layer = await pushBlob(spec, oci.layer, await createTar([file]))
  const image = {
    ...platformOf(platform),
    config: {
      Entrypoint: ['/run'],
      ...(spec.marker !== undefined && { Labels: { marker: spec.marker } }),
    },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  }
  const config = await pushBlob(spec, oci.config, Buffer.from(JSON.stringify(image)))
  return pushManifest(spec, oci.manifest, { config, layers: [layer] }, tag)
}

function entryPoint({ binary, content }: ImageContent): Buffer {
  if (content !== undefined) return Buffer.from(content)
  if (binary !== undefined) return readFileSync(binary)
  throw new Error('an image needs `binary` or `content`')
}

function platformOf(platform: string): { os: string; architecture: string } {
  const [os = '', architecture = ''] = platform.split('/')
  return { os, architecture }
}
