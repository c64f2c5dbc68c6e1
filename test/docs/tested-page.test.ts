import { describe, expect, it } from 'vitest'
import { type TestedFile, updatePage } from '../../e2e/full/tested-page.ts'

const empty = '# Tested\n\nText.\n\n<!-- generated: npm run e2e:full -->\n\n<!-- end -->\n'

const tested = (file: string, result: string): TestedFile => ({
  file,
  date: '2026-11-29',
  programs: ['Kubernetes v1.36.3', 'Kyverno v1.19.1'],
  tests: [{ name: 'kyverno > refuses a|b', result, seconds: 12.4 }],
})

describe('updatePage', () => {
  it('writes a section for each file', () => {
    expect(updatePage(empty, [tested('a.test.ts', 'passed')])).toBe(`# Tested

Text.

<!-- generated: npm run e2e:full -->

## a.test.ts

2026-11-29, with Kubernetes v1.36.3, Kyverno v1.19.1:

| test | result |
| --- | --- |
| kyverno > refuses a\\|b | passed, 12 s |

<!-- end -->
`)
  })

  it('adds what a test measured', () => {
    const file = tested('a.test.ts', 'passed')
    const tests = [{ name: 'measures', result: 'passed', seconds: 1, note: '3 of a|b' }]

    expect(updatePage(empty, [{ ...file, tests }])).toContain(
      '| measures | passed, 1 s: 3 of a\\|b |',
    )
  })

  it('replaces the sections of the files that ran, and keeps the others in order', () => {
    const before = updatePage(empty, [tested('c.test.ts', 'passed'), tested('a.test.ts', 'passed')])
    const after = updatePage(before, [tested('b.test.ts', 'passed'), tested('a.test.ts', 'failed')])

    expect([...after.matchAll(/^## (.*)$/gm)].map(([, file]) => file)).toEqual([
      'a.test.ts',
      'b.test.ts',
      'c.test.ts',
    ])
    expect(after).toContain('failed, 12 s')
    expect(updatePage(after, [])).toBe(after)
  })
})
