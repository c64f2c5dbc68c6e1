/** Packs the npm package: the bundle with its licences, manifests, schema, examples and docs. It has no dependencies. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TarEntry } from '../../deploy/image/tar.ts'
import { entriesOf } from './archive.ts'
import { withDirectories, withoutMissingLinks } from './package-links.ts'

/** The fields of package.json that users of the package need. All packages are in the bundle. */
const fields = ['name', 'version', 'description', 'license', 'type', 'bin', 'engines'] as const

/** Writes the package to `file`. `program` are the files of the image, below `app`. npm sets the same time in each package. */
export function packNpmPackage(root: string, program: readonly TarEntry[], file: string): void {
  const directory = mkdtempSync(join(tmpdir(), 'berth-npm-'))
  try {
    const packed = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
      (typeof fields)[number],
      unknown
    >
    const manifest = Object.fromEntries(fields.map((field) => [field, packed[field]]))
    const texts = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']
    const entries: readonly (readonly [string, Buffer | string])[] = [
      ...program.map(({ path, content }) => [path.replace(/^app\//, ''), content ?? ''] as const),
      ...entriesOf(join(root, 'docs'), 'docs').map(
        ({ path, content }) => [path, content ?? ''] as const,
      ),
      ...texts.map((name) => [name, readFileSync(join(root, name))] as const),
      ['package.json', `${JSON.stringify(manifest, null, 2)}\n`],
    ]
    const stage = join(directory, 'package')
    const paths = withDirectories(entries.map(([path]) => path))
    for (const [path, content] of entries) {
      mkdirSync(dirname(join(stage, path)), { recursive: true })
      const isPage = path.endsWith('.md')
      const packedContent = isPage ? withoutMissingLinks(String(content), path, paths) : content
      writeFileSync(join(stage, path), packedContent)
    }
    const pack = ['pack', stage, '--pack-destination', directory, '--ignore-scripts', '--json']
    const [result] = JSON.parse(execFileSync('npm', pack, { encoding: 'utf8' })) as {
      filename: string
    }[]
    renameSync(join(directory, result?.filename ?? ''), file)
  } finally {
    rmSync(directory, { recursive: true })
  }
}
