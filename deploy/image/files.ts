/** Lists the files of the image: Node.js with its libraries, and Berth with the packages that it needs. */
import { execFileSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TarEntry } from './tar.ts'

/** The user id of the process unless the cluster chooses another; the `nonroot` user of distroless images. */
export const userId = 65_532

/** Node.js, its shared libraries with the dynamic loader, and the three files that the C library reads. */
export function runtimeFiles(node: string, libraries: readonly TarEntry[]): TarEntry[] {
  return [
    file('nodejs/bin/node', readFileSync(node), 0o755),
    ...libraries,
    text('etc/passwd', `berth:x:${userId}:${userId}:berth:/:/sbin/nologin\n`),
    text('etc/group', `berth:x:${userId}:\n`),
    text('etc/nsswitch.conf', 'hosts: files dns\n'),
    { path: 'tmp', mode: 0o1777, content: null },
  ]
}

/** The libraries of this machine that a program links: two machines give the same bytes only with the same packages. */
export function machineLibraries(program: string): TarEntry[] {
  const listed = execFileSync('ldd', [program], { encoding: 'utf8' })
  const paths = [...listed.matchAll(/(?:=> )?(\/[^ ]+) \(0x/g)].map(([, path = '']) => path)
  return paths.map((path) => file(path.slice(1), readFileSync(path), 0o755))
}

/** The files of Berth, built into a fresh directory: dist/ may hold output of deleted sources. */
export function programFiles(root: string): TarEntry[] {
  const built = mkdtempSync(join(tmpdir(), 'berth-image-'))
  try {
    execFileSync(process.execPath, [join(root, 'tools/build.ts'), built], { stdio: 'inherit' })
    return [
      ...filesUnder(built).map((name) => file(`app/dist/${name}`, readFileSync(join(built, name)))),
      ...[
        'bin/berth.js',
        'LICENSE',
        ...['deploy/base', 'deploy/components', 'webhook-config'].flatMap((directory) =>
          filesUnder(join(root, directory)).map((name) => `${directory}/${name}`),
        ),
      ].map((name) => file(`app/${name}`, readFileSync(join(root, name)))),
      text('app/package.json', `${JSON.stringify(readPackageInfo(root))}\n`),
    ]
  } finally {
    rmSync(built, { recursive: true })
  }
}

export interface PackageInfo {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly license: string
  readonly type: string
}

/** The fields of package.json that Node.js, `berth --version` and the image's labels read. */
export function readPackageInfo(root: string): PackageInfo {
  const { name, version, description, license, type } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as PackageInfo
  return { name, version, description, license, type }
}

/** The paths of the files below a directory, relative to it. */
export function filesUnder(directory: string): string[] {
  return globSync('**/*', { cwd: directory })
    .filter((name) => statSync(join(directory, name)).isFile())
    .toSorted()
}

function text(path: string, content: string): TarEntry {
  return file(path, Buffer.from(content))
}

function file(path: string, content: Buffer, mode = 0o644): TarEntry {
  return { path, mode, content }
}
