import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { withDirectories, withoutMissingLinks } from '../../tools/release/package-links.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

describe('the pages of the npm package', () => {
  const paths = withDirectories(['README.md', 'docs/cli.md', 'docs/images/flow.png', 'LICENSE'])

  it.each([
    ['README.md', '[cli](docs/cli.md#berth-check), [docs](docs)', null],
    ['README.md', '![flow](docs/images/flow.png) [site](https://example.com/x)', null],
    ['README.md', '[a test](e2e/first.test.ts) and [`src`](src/)', 'a test and `src`'],
    ['docs/cli.md', '[license](../LICENSE), [top](#top)', null],
    ['docs/cli.md', '[e2e](../e2e/a.ts), [beyond](../../x.md)', 'e2e, beyond'],
  ])('in %s: %s', (path, markdown, expected) => {
    expect(withoutMissingLinks(markdown, path, paths)).toBe(expected ?? markdown)
  })
})

describe('npm pack in a checkout', () => {
  it('packs the bundle, and neither images nor releases that were built next to it', () => {
    const directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
    try {
      cpSync(join(root, 'package.json'), join(directory, 'package.json'))
      for (const name of ['dist/main.cjs', 'dist/image/index.json', 'dist/release/berth.tgz']) {
        mkdirSync(join(directory, name, '..'), { recursive: true })
        writeFileSync(join(directory, name), '')
      }
      const pack = ['pack', '--dry-run', '--json', '--ignore-scripts']
      const output = execFileSync('npm', pack, { cwd: directory, encoding: 'utf8', stdio: 'pipe' })
      const [packed] = JSON.parse(output) as { files: { path: string }[] }[]

      expect(packed?.files.map(({ path }) => path).toSorted()).toEqual([
        'dist/main.cjs',
        'package.json',
      ])
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  it('has no link in README.md that the package would lack, but those to tests', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8')
    const targets = [...readme.matchAll(/\]\(([^)#:]+)/g)].map(([, target = '']) => target)
    const packed = /^(?:docs|webhook-config|[A-Z]+(?:\.md)?$)/

    expect(targets.length).toBeGreaterThan(20)
    expect(targets.filter((target) => !packed.test(target) && !target.startsWith('e2e/'))).toEqual(
      [],
    )
  })
})
