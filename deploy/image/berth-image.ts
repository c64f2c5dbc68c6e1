/** Builds the image of Berth for one architecture or several, without a container engine. */
import { join } from 'node:path'
import { type Architecture, machineArchitecture } from './architecture.ts'
import { debianLibraries } from './debian-libraries.ts'
import { command, entrypoint } from './entrypoint.ts'
import {
  machineLibraries,
  type PackageInfo,
  readPackageInfo,
  runtimeFiles,
  userId,
} from './files.ts'
import { nodeProgram } from './node-program.ts'
import { type Artifact, createImage, createLayer, createMultiPlatform, type Image } from './oci.ts'
import type { TarEntry } from './tar.ts'

export interface ImageOptions {
  /** Null: for this machine, with its own C library. Otherwise with the C library of Debian packages. */
  readonly architectures: readonly Architecture[] | null
  readonly created: Date
  /** The result of `programFiles`. */
  readonly program: readonly TarEntry[]
}

/** Returns the image, or an index of images. Throws if a program or a package cannot be downloaded. */
export async function buildBerthImage(
  root: string,
  { architectures, created, program: files }: ImageOptions,
): Promise<Artifact> {
  const info = readPackageInfo(root)
  const cache = join(root, 'node_modules/.cache/berth-image')
  const program = await createLayer(files, 'Berth and its packages', cache)
  const annotations = annotationsOf(info)
  const images: Image[] = []
  for (const architecture of architectures ?? [machineArchitecture]) {
    const node = nodeProgram(root, architecture)
    const libraries: readonly TarEntry[] =
      architectures === null ? machineLibraries(node) : debianLibraries(root, architecture).files
    const runtimeEntries = runtimeFiles(node, libraries)
    const runtime = await createLayer(runtimeEntries, 'Node.js and its libraries', cache)
    const config = imageConfig(annotations)
    images.push(createImage([runtime, program], { architecture, created, config, annotations }))
  }
  const [first, ...rest] = images
  if (first === undefined) throw new Error('name at least one architecture')
  return createMultiPlatform([first, ...rest], annotations)
}

function annotationsOf({ name, description, version, license }: PackageInfo) {
  return {
    'org.opencontainers.image.title': name,
    'org.opencontainers.image.description': description,
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.licenses': license,
  }
}

function imageConfig(labels: Readonly<Record<string, string>>): object {
  return {
    User: `${userId}:${userId}`,
    WorkingDir: '/app',
    Env: ['PATH=/nodejs/bin', 'NODE_ENV=production'],
    Entrypoint: entrypoint,
    Cmd: command,
    ExposedPorts: { '8443/tcp': {}, '8080/tcp': {} },
    Labels: labels,
  }
}
