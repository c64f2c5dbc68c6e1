import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { brokenFence, headingsOf, relativeLinks, repeatedStatements } from '../support/markdown.ts'

/** Merges have damaged pages: stray code fences, and paragraphs or table rows of both branches. */

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const notOurs = new Set(['node_modules', 'dist', 'coverage', 'fixtures'])
const pages = [
  ...globSync('**/*.md', { cwd: root, exclude: (name) => notOurs.has(name) }),
  ...globSync('.github/**/*.md', { cwd: root }),
]

/** The pages have at most 0.55, from sentences about two similar options. Real duplicates had 0.73 and more. */
const maxOverlap = 0.6

/** Headings whose text appears before at the same level. The versions in CHANGELOG.md have the same sections. */
function repeatedHeadings(text: string, scope: 'page' | 'parent'): string[] {
  const seen = new Set<string>()
  const path: string[] = []
  return headingsOf(text).flatMap(({ level, text }) => {
    path.length = level - 1
    path[level - 1] = text
    const key = scope === 'page' ? `${level} ${text}` : path.join(' > ')
    if (seen.has(key)) return [text]
    seen.add(key)
    return []
  })
}

/** Leaves out the tables that `npm run docs:cli` writes: commands share options. */
function withoutGenerated(text: string): string {
  return text.replaceAll(/<!-- generated: [^]*?<!-- end -->/g, '')
}

function isBrokenLink(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? page : normalize(join(dirname(page), path))
  if (!existsSync(join(root, target))) return true
  if (anchor === undefined) return false
  const isPage = target.endsWith('.md') && statSync(join(root, target)).isFile()
  return !isPage || headingsOf(read(target)).every((heading) => heading.anchor !== anchor)
}

describe.each(pages)('%s', (page) => {
  const text = read(page)

  it('closes every code block', () => {
    expect(brokenFence(text)).toBeNull()
  })

  it('has no heading twice', () => {
    expect(repeatedHeadings(text, page === 'CHANGELOG.md' ? 'parent' : 'page')).toEqual([])
  })

  it('says nothing twice', () => {
    expect(repeatedStatements(withoutGenerated(text), maxOverlap)).toEqual([])
  })

  it('links only to files and headings that exist', () => {
    expect(relativeLinks(text).filter((link) => isBrokenLink(page, link))).toEqual([])
  })
})

describe('the checks', () => {
  it('find the pages of every folder', () => {
    expect(pages).toEqual(
      expect.arrayContaining([
        'README.md',
        'docs/cli.md',
        'docs/adr/0001-single-leaves.md',
        'bench/README.md',
        '.github/pull_request_template.md',
      ]),
    )
  })

  it.each([
    ['an unclosed block', '# A\n\n```sh\nls\n', 3],
    ['a stray fence that turns later blocks inside out', 'a\n```\n\nb\n\n```json\n{}\n```\n', 2],
    ['no well-formed blocks', '```md\nx\n```\n\n````\n```sh\n```\n````\n', null],
  ])('detect %s', (_, text, line) => {
    expect(brokenFence(text)).toBe(line)
  })

  it('detect a repeated heading', () => {
    expect(repeatedHeadings('# A\n\n## B\n\n## C\n\n## B\n', 'page')).toEqual(['B'])
    expect(repeatedHeadings('# A\n\n## 1\n\n### B\n\n## 2\n\n### B\n', 'parent')).toEqual([])
  })

  const limits = '| threat | answer |\n| --- | --- |\n| size | Berth reads up to 8 MiB |\n'
  const probe = 'The webhook probes the registries of the config with its own credentials only.'

  it.each([
    ['equal table rows', `${limits}| size | Berth reads up to 8 MiB |\n`],
    [
      'a table row that another one extends',
      `${limits}| who | ${probe} |\n| who | ${probe} Operators see more. |\n`,
    ],
    [
      'a sentence that is repeated with other words at its end',
      `# A\n\n${probe}\n\n## B\n\n- ${probe.replace('only', 'and no others')}\n`,
    ],
  ])('detect %s', (_, text) => {
    expect(repeatedStatements(text, maxOverlap)).toHaveLength(1)
  })

  it('allow statements that share a phrase', () => {
    const other =
      'The controller probes the registries of the config when a pod waits for an image.'

    expect(repeatedStatements(`${probe}\n\n${other}\n`, maxOverlap)).toEqual([])
  })

  it.each([
    ['a missing file', 'docs/missing.md'],
    ['a missing heading of another page', 'docs/cli.md#missing'],
    ['a missing heading of the same page', '#missing'],
    ['a heading of a file that is not a page', 'LICENSE#license'],
  ])('detect a link to %s', (_, link) => {
    expect(isBrokenLink('README.md', link)).toBe(true)
  })
})
