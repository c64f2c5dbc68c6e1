import { fc, runs } from '../../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { compilePattern, type ImagePattern } from '../../../src/decision/fallback/image-pattern.ts'
import { createRowIndex } from '../../../src/decision/fallback/row-index.ts'

const hosts = ['a.io', 'b.io', '*.io', '*.IO:0443', '**', 'localhost:5000']
const segment = fc.constantFrom(
  'x',
  'y',
  'x*',
  '*y',
  'x*y',
  'x*x',
  '*x*',
  '[xz]y',
  'x[xy]',
  '*',
  '?',
  '**',
)
const patternText = fc
  .tuple(fc.constantFrom(...hosts), fc.array(segment, { minLength: 1, maxLength: 3 }))
  .map(([host, segments]) => [host, ...segments].join('/'))
const name = fc.tuple(
  fc.constantFrom('a.io', 'b.io', 'c.io', 'localhost:5000'),
  fc.array(fc.constantFrom('x', 'y', 'xy', 'z', 'xx', 'xzy'), { minLength: 1, maxLength: 4 }),
)

function indexOf(rows: readonly (readonly ImagePattern[])[]) {
  return createRowIndex(rows.map((images, position) => ({ position, images, leave: false })))
}

/** Returns the index of rows with one pattern each, and how many patterns were tested so far. */
function countedIndex(rows: number, textOf: (row: number) => string) {
  let tested = 0
  const patterns = Array.from({ length: rows }, (_, row): readonly ImagePattern[] => {
    const result = compilePattern(textOf(row))
    if (!result.ok) throw new Error(result.message)
    const { pattern } = result
    const matches: ImagePattern['matches'] = (reference) => {
      tested++
      return pattern.matches(reference)
    }
    return [{ ...pattern, matches }]
  })
  return { index: indexOf(patterns), tested: () => tested }
}

describe('createRowIndex', () => {
  it('finds the row that a scan of all rows finds', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(patternText, { minLength: 1, maxLength: 2 }), { maxLength: 12 }),
        name,
        fc.boolean(),
        (rows, [domain, path], literalHostOnly) => {
          const compiled = rows.map((texts) =>
            texts.flatMap((text): ImagePattern[] => {
              const result = compilePattern(text)
              return result.ok ? [result.pattern] : []
            }),
          )
          const reference = { domain, path: path.join('/'), tag: null, digest: null }
          const scanned = compiled.findIndex((patterns) =>
            patterns.some(
              (pattern) =>
                (!literalHostOnly || pattern.host === domain) && pattern.matches(reference),
            ),
          )

          const expected = scanned < 0 ? Infinity : scanned
          expect(indexOf(compiled).find(reference, literalHostOnly)).toBe(expected)
        },
      ),
      runs(5_000),
    )
  })

  it('tests one pattern for each of 100 images among 1,000 rows', () => {
    const { index, tested } = countedIndex(1_000, (row) =>
      row % 2 === 0 ? `docker.io/team-${row}/*` : `registry-${row}.example.com/**`,
    )
    const found = Array.from({ length: 100 }, (_, image) => {
      const row = image * 10 + (image % 2)
      const [domain, path] =
        row % 2 === 0
          ? ['docker.io', `team-${row}/app`]
          : [`registry-${row}.example.com`, 'team/app']
      return index.find({ domain, path, tag: null, digest: null }, false) - row
    })

    expect(new Set(found)).toEqual(new Set([0]))
    expect(tested()).toBe(100)
  })

  it.each([
    ['a prefix', (row: number) => `docker.io/team/app-${row}-*`],
    ['a suffix', (row: number) => `docker.io/team/*-${row}-api`],
    ['both', (row: number) => `docker.io/*/app-${row}-a*i`],
    ['a prefix behind any path', (row: number) => `docker.io/**/app-${row}-*`],
    ['a host', (row: number) => `*.registry-${row}.example.com/**`],
  ])('tests few of 1,000 patterns that differ only in %s next to a wildcard', (_, pattern) => {
    const { index, tested } = countedIndex(1_000, pattern)
    for (const row of [0, 7, 500, 999]) {
      const domain = pattern(0).startsWith('docker.io')
        ? 'docker.io'
        : `a.registry-${row}.example.com`
      const reference = { domain, path: `team/app-${row}-api`, tag: null, digest: null }

      expect(index.find(reference, false)).toBe(row)
    }
    expect(tested()).toBe(4)
  })
})
