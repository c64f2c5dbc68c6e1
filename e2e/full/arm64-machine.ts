/** The image of a release for arm64, run on this machine by QEMU. */
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runOk } from '../harness/command.ts'
import { unpackDebianPackage } from '../harness/debian-packages.ts'

interface Descriptor {
  readonly digest: string
  readonly platform?: { readonly architecture: string }
  readonly annotations?: Readonly<Record<string, string>>
}

interface ImageConfig {
  readonly config: { readonly Entrypoint: readonly string[]; readonly Env: readonly string[] }
}

export interface Arm64Machine {
  /** The root directory of the image. */
  readonly root: string
  /** Runs a program of the root directory, with the environment of the image, and returns its output. */
  readonly run: (program: string, ...args: readonly string[]) => Promise<string>
  /** Runs the image's entry point with these arguments. */
  readonly runImage: (...args: readonly string[]) => Promise<string>
}

/** Downloads QEMU, once, and returns the path of a program that needs no libraries. */
export async function installQemu(): Promise<string> {
  return join(await unpackDebianPackage('qemu-user-static'), 'usr/bin/qemu-aarch64-static')
}

/** Unpacks the image `name` of an OCI layout into a directory. Needs root, for `chroot`. */
export async function startArm64Machine(
  layout: string,
  name: string,
  root: string,
): Promise<Arm64Machine> {
  const blob = (digest: string) => join(layout, 'blobs', digest.replace(':', '/'))
  const read = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'))
  const find = (index: string, isWanted: (each: Descriptor) => boolean): string => {
    const { manifests } = read(index) as { manifests: Descriptor[] }
    const found = manifests.find(isWanted)
    if (found === undefined) throw new Error(`${index} does not have the image`)
    return blob(found.digest)
  }
  const index = find(
    join(layout, 'index.json'),
    ({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] === name,
  )
  const manifest = read(find(index, ({ platform }) => platform?.architecture === 'arm64')) as {
    config: Descriptor
    layers: Descriptor[]
  }
  mkdirSync(root)
  for (const { digest } of manifest.layers) await runOk('tar', ['-xzf', blob(digest), '-C', root])
  copyFileSync(await installQemu(), join(root, 'qemu'))
  const { Entrypoint, Env } = (read(blob(manifest.config.digest)) as ImageConfig).config
  const [node = '', ...flags] = Entrypoint
  const run = (program: string, ...args: readonly string[]) =>
    runOk('env', ['-i', ...Env, '/usr/sbin/chroot', root, '/qemu', program, ...args])
  return { root, run, runImage: (...args) => run(node, ...flags, ...args) }
}
