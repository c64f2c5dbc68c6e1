import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { printDiff } from '../../../src/cli/output/print-diff.ts'

const diff = '--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new \u001B[2J\n'

function print(isTTY: boolean, env: Readonly<Record<string, string>>): string {
  const stdout = Object.assign(new PassThrough(), { isTTY })
  printDiff(diff, { stdout, env })
  return String(stdout.read())
}

describe('printDiff', () => {
  it.each([
    ['prints each byte to a pipe', false, {}],
    ['prints each byte to a pipe if FORCE_COLOR is 0', false, { FORCE_COLOR: '0' }],
  ])('%s', (_, isTTY, env) => {
    expect(print(isTTY, env)).toBe(diff)
  })

  it.each([
    ['colours on a terminal', true, {}],
    ['colours for a pipe with FORCE_COLOR', false, { FORCE_COLOR: '1' }],
    ['colours with FORCE_COLOR, whatever NO_COLOR is', true, { FORCE_COLOR: '1', NO_COLOR: '1' }],
  ])('%s, and escapes other sequences', (_, isTTY, env) => {
    const text = print(isTTY, env)

    expect(text).toContain('\u001B[31m-old\u001B[39m')
    expect(text).toContain('\u001B[32m+new \\x1b[2J\u001B[39m')
  })

  it('does not colour a terminal with NO_COLOR', () => {
    expect(print(true, { NO_COLOR: '1' })).toBe(diff.replace('\u001B', '\\x1b'))
  })
})
