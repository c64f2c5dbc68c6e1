import { describe, expect, it } from 'vitest'
import { createPainter } from '../../../src/cli/output/colour.ts'
import { formatColumns, formatTable } from '../../../src/cli/output/columns.ts'

const paint = createPainter({ isTTY: true }, {})

describe('formatColumns', () => {
  it('aligns the columns and leaves no trailing spaces', () => {
    expect(formatColumns([['a', 'bbb', 'c'], ['aaa', 'b', ''], ['aa']])).toEqual([
      'a    bbb  c',
      'aaa  b',
      'aa',
    ])
  })

  it('leaves out columns without text', () => {
    expect(
      formatColumns([
        ['a', '', 'c'],
        ['aa', '', 'c'],
      ]),
    ).toEqual(['a   c', 'aa  c'])
  })

  it('does not count colour as width', () => {
    const rows = [
      [{ text: 'ab', style: 'red' }, 'x'],
      ['abc', 'x'],
    ] as const

    expect(formatColumns(rows, paint)).toEqual(['\u001B[31mab\u001B[39m   x', 'abc  x'])
  })

  it('escapes control characters, and counts what is printed', () => {
    expect(
      formatColumns([
        ['a\u001B[2J', 'x'],
        ['b\nc\u202E', 'x'],
      ]),
    ).toEqual([String.raw`a\x1b[2J      x`, String.raw`b\x0ac\u202e  x`])
  })
})

describe('formatTable', () => {
  it('prints headings in upper case, and a dash for empty cells', () => {
    expect(
      formatTable(
        ['name', 'value'],
        [
          ['', 'x'],
          ['nginx', ''],
        ],
      ),
    ).toBe('NAME   VALUE\n-      x\nnginx  -')
  })
})
