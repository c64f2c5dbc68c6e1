/** Lists the files of the image: Node.js with its libraries, the production dependencies, and Berth as `tsc` builds it. */
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TarEntry } from './tar.ts'

/** The user id of the process unless the cluster chooses another; the `nonroot` user of distroless images. */
export const userId = 65_532

/**
 * Node.js, the dynamic loader and shared libraries that it links, and the three files that the C library reads. They are
 * copied from this machine, so two machines give the same bytes only if they have the same packages.
 */
export function runtimeFiles(root: string): TarEntry[] {
  const node = join(root, 'node_modules/node/bin/node')
  return [
    file('nodejs/bin/node', readFileSync(node), 0o755),
    ...librariesOf(node).map((path) => file(path.slice(1), readFileSync(path), 0o755)),
    text('etc/passwd', `berth:x:${userId}:${userId}:berth:/:/sbin/nologin\n`),
    text('etc/group', `berth:x:${userId}:\n`),
    text('etc/nsswitch.conf', 'hosts: files dns\n'),
    { path: 'tmp', mode: 0o1777, content: null },
  ]
}

function librariesOf(program: string): string[] {
  const listed = execFileSync('ldd', [program], { encoding: 'utf8' })
  return [...listed.matchAll(/(?:=> )?(\/[^ ]+) \(0x/g)].map(([, path = '']) => path)
}

/** Files of packages that are not read at run time, such as types, source maps and tests. Licences are kept. */
const unusedAtRunTime =
  /\.(?:[cm]?ts|map|md|markdown|tsbuildinfo|bare|flow)$|\/(?:\.[^/]+|test|tests)\//i

/** The files of every package that Berth needs at run time. */
export function dependencyFiles(root: string): TarEntry[] {
  return [...productionPackages(root)].flatMap((path) =>
    filesUnder(join(root, path))
      .filter((name) => !unusedAtRunTime.test(`/${name}`))
      .map((name) => file(`app/${path}/${name}`, readFileSync(join(root, path, name)))),
  )
}

interface DependencyLists {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** The directories of all packages that `path` needs, resolved as Node.js does it. Skips development dependencies. */
function productionPackages(root: string, path = '', found = new Set<string>()): Set<string> {
  const lists = JSON.parse(
    readFileSync(join(root, path, 'package.json'), 'utf8'),
  ) as DependencyLists
  const { dependencies = {}, optionalDependencies = {}, peerDependencies = {} } = lists
  for (const name of Object.keys({
    ...dependencies,
    ...optionalDependencies,
    ...peerDependencies,
  })) {
    const directory = findPackage(root, path, name)
    if (directory === null && name in dependencies && !(name in optionalDependencies))
      throw new Error(
        `${name}, a dependency of ${path || 'berth'}, is not installed; run npm install`,
      )
    if (directory === null || found.has(directory)) continue
    found.add(directory)
    productionPackages(root, directory, found)
  }
  return found
}

/** The package in the nearest node_modules at or above `from` (Node.js, "Loading from node_modules folders"). */
function findPackage(root: string, from: string, name: string): string | null {
  const directory = join(from, 'node_modules', name)
  if (existsSync(join(root, directory, 'package.json'))) return directory
  const end = from.lastIndexOf('node_modules')
  return end < 0 ? null : findPackage(root, from.slice(0, Math.max(0, end - 1)), name)
}

/** The files of Berth, built into a fresh directory: dist/ may hold output of deleted sources. */
export function programFiles(root: string): TarEntry[] {
  const built = mkdtempSync(join(tmpdir(), 'berth-image-'))
  try {
    const tsc = join(root, 'node_modules/.bin/tsc')
    execFileSync(tsc, ['-p', 'tsconfig.build.json', '--outDir', built], {
      cwd: root,
      stdio: 'inherit',
    })
    return [
      ...filesUnder(built).map((name) => file(`app/dist/${name}`, readFileSync(join(built, name)))),
      ...[
        'bin/berth.js',
        'LICENSE',
        ...filesUnder(join(root, 'webhook-config')).map((name) => `webhook-config/${name}`),
      ].map((name) => file(`app/${name}`, readFileSync(join(root, name)))),
      text('app/package.json', `${JSON.stringify(readPackageInfo(root))}\n`),
    ]
  } finally {
    rmSync(built, { recursive: true })
  }
}

interface PackageInfo {
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

/** All files below a directory, except nested packages, which `productionPackages` lists separately. */
function filesUnder(directory: string): string[] {
  return globSync('**/*', { cwd: directory, exclude: (name) => name === 'node_modules' }).filter(
    (name) => statSync(join(directory, name)).isFile(),
  )
}

function text(path: string, content: string): TarEntry {
  return file(path, Buffer.from(content))
}

function file(path: string, content: Buffer, mode = 0o644): TarEntry {
  return { path, mode, content }
}
