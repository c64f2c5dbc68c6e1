/** Makes base images for deploy/Dockerfile from the files of this machine, and builds it with buildah. */
import { createHash } from 'node:crypto'
import { copyFileSync, globSync, mkdirSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { machineArchitecture } from '../../deploy/image/architecture.ts'
import { machineLibraries, runtimeFiles } from '../../deploy/image/files.ts'
import { nodeProgram } from '../../deploy/image/node-program.ts'
import {
  createImage,
  createLayer,
  createMultiPlatform,
  type NamedArtifact,
  writeLayout,
} from '../../deploy/image/oci.ts'
import type { TarEntry } from '../../deploy/image/tar.ts'
import { entriesOf } from '../../tools/release/archive.ts'
import { runOk } from '../harness/command.ts'
import { buildOnce } from '../harness/cached-build.ts'
import { isInstalled, mayInstallPackages } from '../harness/debian-packages.ts'
import { cacheDirectory, repository } from '../harness/paths.ts'

export type BuildahOptions = {
  /** An empty directory for images and containers. */
  directory: string
  /** A cache of npm with the packages of the lock file. */
  npmCache: string
}

/** Installs buildah if it is missing and packages may be installed; throws otherwise. */
export async function ensureBuildah(): Promise<void> {
  if (isInstalled('buildah')) return
  const args = ['install', '-y', '--no-install-recommends', 'buildah']
  if (!mayInstallPackages()) throw new Error(`install buildah: apt-get ${args.join(' ')}`)
  await runOk('apt-get', args, { env: { DEBIAN_FRONTEND: 'noninteractive' } })
}

/** Downloads the packages of the lock file once into a cache of npm, and returns its directory. */
export async function fillNpmCache(): Promise<string> {
  const lock = readFileSync(join(repository, 'package-lock.json'))
  const name = `npm-${createHash('sha256').update(lock).digest('hex').slice(0, 12)}`
  const directory = join(cacheDirectory(), name)
  await buildOnce(directory, 'downloading the packages of the lock file', async (partial) => {
    const checkout = `${partial}-checkout`
    mkdirSync(checkout, { recursive: true })
    for (const file of ['package.json', 'package-lock.json'])
      copyFileSync(join(repository, file), join(checkout, file))
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--cache', partial]
    await runOk('npm', ['ci', ...flags], { cwd: checkout })
  })
  return directory
}

/** Builds deploy/Dockerfile and returns the directory of the OCI layout, with the image `dockerfile:latest`. */
export async function buildDockerfile({ directory, npmCache }: BuildahOptions): Promise<string> {
  const bases = join(directory, 'bases')
  writeLayout(bases, await baseImages(join(directory, 'layers')))
  // Containers of runc need cgroup v2 and CAP_SYS_RESOURCE, which a machine for tests may lack. chroot needs neither.
  const storage = ['--root', join(directory, 'storage'), '--runroot', join(directory, 'run')]
  const buildah = (command: string, ...args: string[]) =>
    runOk('buildah', [...storage, '--storage-driver=vfs', command, ...args], {
      cwd: repository,
      env: { BUILDAH_ISOLATION: 'chroot' },
    })
  for (const name of ['node', 'runtime']) {
    const id = (await buildah('pull', '--quiet', `oci:${bases}:localhost/${name}:1`)).trim()
    await buildah('tag', id, `localhost/${name}:1`)
  }
  const buildArguments = ['NODE=localhost/node:1', 'BASE=localhost/runtime:1'].flatMap((each) => [
    '--build-arg',
    each,
  ])
  const file = ['--file', 'deploy/Dockerfile', '--tag', 'localhost/dockerfile:1']
  const cache = ['--volume', `${npmCache}:/npm-cache`]
  await buildah(
    'build',
    ...file,
    ...buildArguments,
    ...cache,
    '--pull-never',
    '--format',
    'oci',
    '.',
  )
  const built = join(directory, 'built')
  await buildah('push', '--quiet', 'localhost/dockerfile:1', `oci:${built}:dockerfile:latest`)
  return built
}

/** `node` has a shell and npm, as node:24-bookworm-slim; `runtime` has Node.js alone, as the distroless image. */
async function baseImages(cache: string): Promise<NamedArtifact[]> {
  const node = nodeProgram(repository, machineArchitecture)
  const runtime = runtimeFiles(node, machineLibraries(node))
  const npm = dirname(dirname(realpathSync(await programPath('npm'))))
  const registry = (await runOk('npm', ['config', 'get', 'registry'])).trim()
  const tools = [
    program('bin/sh', await programPath('dash')),
    program('usr/bin/env', await programPath('env')),
    ...machineLibraries(await programPath('dash')),
    ...globSync('node_modules/@rolldown/binding-*/*.node', { cwd: repository }).flatMap((name) =>
      machineLibraries(join(repository, name)),
    ),
    ...entriesOf(npm, 'npm').map((entry) => ({ ...entry, mode: 0o755 })),
    program('usr/bin/node', node),
    text('usr/bin/npm', '#!/bin/sh\nexec /nodejs/bin/node /npm/bin/npm-cli.js "$@"\n'),
  ]
  const image = async (name: string, entries: readonly TarEntry[], env: readonly string[]) => {
    const layer = await createLayer(dedupe(entries), name, cache)
    const config = { Env: ['PATH=/usr/bin:/bin:/nodejs/bin', ...env] }
    const settings = { architecture: machineArchitecture, created: new Date(0), config }
    const built = createImage([layer], { ...settings, annotations: {} })
    return { name: `localhost/${name}:1`, artifact: createMultiPlatform([built], {}) }
  }
  return [
    await image(
      'node',
      [...runtime, ...tools],
      ['npm_config_cache=/npm-cache', 'npm_config_offline=true', `npm_config_registry=${registry}`],
    ),
    await image('runtime', runtime, []),
  ]
}

async function programPath(name: string): Promise<string> {
  return (await runOk('which', [name])).trim()
}

function program(path: string, file: string): TarEntry {
  return { path, mode: 0o755, content: readFileSync(file) }
}

function text(path: string, content: string): TarEntry {
  return { path, mode: 0o755, content: Buffer.from(content) }
}

function dedupe(entries: readonly TarEntry[]): TarEntry[] {
  return [...new Map(entries.map((entry) => [entry.path, entry])).values()]
}
