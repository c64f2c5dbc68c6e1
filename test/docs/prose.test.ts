import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

/** Rejects phrases that read like a translation; CONTRIBUTING.md has the writing guide. */

const root = fileURLToPath(new URL('../..', import.meta.url))
const skipped = new Set(['node_modules', 'dist', 'coverage', 'fixtures', 'prose.test.ts'])
const files = [
  ...globSync('**/*.{ts,mjs,js,md,yaml,yml,tpl,go}', {
    cwd: root,
    exclude: (name) => skipped.has(name),
  }),
  ...globSync('.github/**/*.{md,yml}', { cwd: root }),
]

const phrases: readonly (readonly [phrase: RegExp, instead: string])[] = [
  [/\banew\b/i, 'again, or the verb with re-'],
  [/\bwhoever\b/i, 'anyone who'],
  [/\bwho(?:m|se turn)\b/i, 'name the person or thing'],
  [/\bnobody\b/i, 'no one, or say what happens instead'],
  [/\bbeside\b/i, 'next to, or in addition to'],
  [/(?<!\bthere )\b(?:is|are|was|were) no (?!longer\b|more\b|one\b)[a-z]/i, 'is not a'],
  [/(?<!\blone )\bstands?\b(?! for\b| in for\b|-in\b| out\b| alone\b)/i, 'is'],
  [/\b(?:is|are|was|were|be|been) told\b|\b(?:tells?|told) of\b/i, 'reports, or gets'],
  [/\b(?:an?|one)(?: [\w-]+){0,2} of its own\b|\bof one's own\b/i, 'its own, or separate'],
  [/\bin vain\b/i, 'without effect'],
  [/\bhas not got\b/i, 'lacks, or does not have'],
  [/\((?:R|PS|EC|IN)-\d+\)/, 'what is tested, not the id of a requirement'],
]

function hitsOf(file: string): string[] {
  return readFileSync(join(root, file), 'utf8')
    .split('\n')
    .flatMap((line, index) =>
      phrases
        .filter(([phrase]) => phrase.test(line))
        .map(([, instead]) => `${file}:${index + 1}: write "${instead}": ${line.trim()}`),
    )
}

describe('prose', () => {
  it('uses plain English in every page, source and test', () => {
    expect(files.length).toBeGreaterThan(300)
    expect(files.flatMap(hitsOf)).toEqual([])
  })

  it.each([
    ['Pods are made anew.', 1],
    ['A reference that is no digest stands here.', 2],
    ['returns 413 (R-16)', 1],
    ['There is no digest, and the tag is no longer a stand-in.', 0],
  ])('detects phrases in "%s"', (text, count) => {
    expect(phrases.filter(([phrase]) => phrase.test(text))).toHaveLength(count)
  })
})
