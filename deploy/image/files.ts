/** What is in the image: Node.js with the libraries that it needs, the production dependencies, and Berth as `tsc` builds it. */
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TarEntry } from './tar.ts'

/** Who Berth runs as, where the cluster does not choose for it; distroless images have the same. */
export const userId = 65_532

/**
 * Node.js, the loader and the shared libraries that it names, and the three files that the C library looks for. They are
 * this machine's: the same machine gives the same bytes, and another one does if it has the same packages.
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

/** What packages carry for people and editors, and nothing reads at run time. Licences stay. */
const notRun = /\.(?:[cm]?ts|map|md|markdown|tsbuildinfo|bare|flow)$|\/(?:\.[^/]+|test|tests)\//i

/** The files of every package that Berth needs at run time. */
export function dependencyFiles(root: string): TarEntry[] {
  return [...productionPackages(root)].flatMap((path) =>
    filesUnder(join(root, path))
      .filter((name) => !notRun.test(`/${name}`))
      .map((name) => file(`app/${path}/${name}`, readFileSync(join(root, path, name)))),
  )
}

interface PackageNeeds {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** Where they are, from package.json on, as Node.js finds them: development dependencies are named by nobody on this way. */
function productionPackages(root: string, path = '', found = new Set<string>()): Set<string> {
  const needs = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')) as PackageNeeds
  const { dependencies = {}, optionalDependencies = {}, peerDependencies = {} } = needs
  for (const name of Object.keys({
    ...dependencies,
    ...optionalDependencies,
    ...peerDependencies,
  })) {
    const place = placeOf(root, path, name)
    if (place === null && name in dependencies && !(name in optionalDependencies))
      throw new Error(`${name}, which ${path || 'berth'} needs, is not installed; run npm install`)
    if (place === null || found.has(place)) continue
    found.add(place)
    productionPackages(root, place, found)
  }
  return found
}

/** The nearest node_modules upwards that has it (Node.js, "Loading from node_modules folders"). */
function placeOf(root: string, from: string, name: string): string | null {
  const place = join(from, 'node_modules', name)
  if (existsSync(join(root, place, 'package.json'))) return place
  const end = from.lastIndexOf('node_modules')
  return end < 0 ? null : placeOf(root, from.slice(0, Math.max(0, end - 1)), name)
}

/** Berth, built now: what an earlier build left in dist/ may be of sources that are gone. */
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
      text('app/package.json', `${JSON.stringify(packageFacts(root))}\n`),
    ]
  } finally {
    rmSync(built, { recursive: true })
  }
}

interface PackageFacts {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly license: string
  readonly type: string
}

/** What Node.js, `berth version` and the image's labels read; scripts and development dependencies would tell of things that are not there. */
export function packageFacts(root: string): PackageFacts {
  const { name, version, description, license, type } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as PackageFacts
  return { name, version, description, license, type }
}

/** Packages within a package are packages of their own in the lock file. */
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
