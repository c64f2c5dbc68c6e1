/** Takes the C library and the C++ library for Node.js from Debian packages of any architecture. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import type { Architecture } from './architecture.ts'
import type { TarEntry } from './tar.ts'

/** The packages that contain the libraries below. */
const packageNames = ['libc6', 'libgcc-s1', 'libstdc++6']

/** The libraries that Node.js links (`ldd`), and the dynamic loader with the path that is fixed in every program. */
const libraries = [
  'libc.so.6',
  'libdl.so.2',
  'libgcc_s.so.1',
  'libm.so.6',
  'libpthread.so.0',
  'libstdc++.so.6',
]
const platforms = {
  amd64: { triplet: 'x86_64-linux-gnu', loader: 'lib64/ld-linux-x86-64.so.2' },
  arm64: { triplet: 'aarch64-linux-gnu', loader: 'lib/ld-linux-aarch64.so.1' },
} as const

export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly architecture: Architecture
  /** Of the package file, in hexadecimal. */
  readonly sha256: string
}

export interface DebianLibraries {
  readonly files: readonly TarEntry[]
  readonly packages: readonly DebianPackage[]
}

/**
 * Returns the libraries of the newest packages in this machine's Debian release. Downloads them once with apt, which verifies
 * them, and keeps them in node_modules/.cache; delete that directory for newer ones. Needs Debian, and no root.
 */
export function debianLibraries(root: string, architecture: Architecture): DebianLibraries {
  const directory = join(root, 'node_modules/.cache/berth-debian', architecture)
  if (!existsSync(directory)) download(directory, architecture)
  const { triplet, loader } = platforms[architecture]
  const content = (name: string) => readFileSync(realpathSync(join(directory, 'root', name)))
  const find = (name: string) => {
    const path = [`lib/${triplet}/${name}`, `usr/lib/${triplet}/${name}`].find((each) =>
      existsSync(join(directory, 'root', each)),
    )
    if (path === undefined) throw new Error(`no Debian package of ${architecture} has ${name}`)
    return path
  }
  const files = [
    // The loader is a link in the package, from an absolute path in some releases.
    { path: loader, content: content(find(basename(loader))) },
    ...libraries.map((name) => ({ path: `lib/${triplet}/${name}`, content: content(find(name)) })),
  ].map((file) => ({ ...file, mode: 0o755 }))
  const packages = JSON.parse(
    readFileSync(join(directory, 'packages.json'), 'utf8'),
  ) as readonly DebianPackage[]
  return { files, packages }
}

function download(directory: string, architecture: Architecture): void {
  mkdirSync(join(directory, '..'), { recursive: true })
  const scratch = mkdtempSync(`${directory}-`)
  try {
    for (const path of ['lists/partial', 'cache/archives/partial', 'root'])
      mkdirSync(join(scratch, path), { recursive: true })
    // Separate lists and a separate cache: apt must not mix this architecture into those of the machine.
    const settings = [
      `APT::Architecture=${architecture}`,
      `APT::Architectures::=${architecture}`,
      `Dir::State::lists=${join(scratch, 'lists')}`,
      `Dir::State::status=/dev/null`,
      `Dir::Cache=${join(scratch, 'cache')}`,
      // The sandbox user of apt cannot write here.
      'APT::Sandbox::User=root',
    ].flatMap((setting) => ['-o', setting])
    const apt = (...args: string[]) =>
      execFileSync('apt-get', [...settings, '-qq', ...args], {
        cwd: scratch,
        stdio: ['ignore', 'ignore', 'inherit'],
      })
    apt('update')
    apt('download', ...packageNames.map((name) => `${name}:${architecture}`))
    const packages = globSync('*.deb', { cwd: scratch })
      .toSorted()
      .map((file) => unpack(join(scratch, file), join(scratch, 'root'), architecture))
    writeFileSync(join(scratch, 'packages.json'), JSON.stringify(packages))
    rmSync(join(scratch, 'lists'), { recursive: true })
    rmSync(join(scratch, 'cache'), { recursive: true })
    renameSync(scratch, directory)
  } catch (error) {
    rmSync(scratch, { recursive: true })
    throw error
  }
}

function unpack(file: string, into: string, architecture: Architecture): DebianPackage {
  execFileSync('dpkg-deb', ['-x', file, into])
  const field = (name: string) =>
    execFileSync('dpkg-deb', ['-f', file, name], { encoding: 'utf8' }).trim()
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
  return { name: field('Package'), version: field('Version'), architecture, sha256 }
}
