import { readFileSync } from 'node:fs'
import { createTar } from '../../deploy/image/tar.ts'
import type { Descriptor, Repository } from './registry-client.ts'
import { deleteDigest, digestOfTag, oci, pushBlob, pushManifest } from './registry-client.ts'

/** What is in an image: one executable, from a file or given, and a marker that makes its digest its own. */
export type ImageContent = {
  /** Path of a static binary, which becomes the entry point `/run`. */
  binary?: string
  /** The entry point's bytes, for images that nobody starts. */
  content?: string | Buffer
  /** Two images that differ in nothing but this have different digests. */
  marker?: string
}

/** One image in a repository under a tag, for one platform (`os/architecture`; this machine's by default). */
export type ImageSpec = Repository & ImageContent & { tag: string; platform?: string }

/** The same image for several platforms, as an index under one tag. */
export type IndexSpec = Repository & ImageContent & { tag: string; platforms?: readonly string[] }

const architecture = process.arch === 'x64' ? 'amd64' : process.arch
const machine = `linux/${architecture}`

/** Pushes an image of a single manifest; returns that manifest's digest. */
export async function pushImage(spec: ImageSpec): Promise<string> {
  const { digest } = await pushOne(spec, spec.platform ?? machine, spec.tag)
  return digest
}

/** Pushes a multi-platform image; returns the digest of its index and those of the manifests in it, by platform. */
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

/** Deletes a manifest by tag or digest. A registry deletes manifests, not tags: every other tag of it goes as well. */
export async function deleteManifest(from: Repository, reference: string): Promise<void> {
  const digest = reference.startsWith('sha256:') ? reference : await digestOfTag(from, reference)
  if (digest === undefined) throw new Error(`${from.repository}:${reference} is not there`)
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
  throw new Error('an image needs a binary or content')
}

function platformOf(platform: string): { os: string; architecture: string } {
  const [os = '', architecture = ''] = platform.split('/')
  return { os, architecture }
}
