import { describe, expect, it } from 'vitest'
import { escapeTerminal } from '../../src/text/escape-terminal.ts'

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => String.fromCodePoint(from + index))

describe('escapeTerminal', () => {
  it.each([
    ['\u001B[31mred', String.raw`\x1b[31mred`],
    ['\u001B]0;title\u0007', String.raw`\x1b]0;title\x07`],
    ['a\rb', String.raw`a\x0db`],
    ['a\u0000b\u007F', String.raw`a\x00b\x7f`],
    ['\u009B31m', String.raw`\x9b31m`],
    ['nginx\u202Egnp.exe', String.raw`nginx\u202egnp.exe`],
    ['\u061Cx\u200E\u200F', String.raw`\u061cx\u200e\u200f`],
  ])('writes %j as %s', (text, expected) => {
    expect(escapeTerminal(text)).toBe(expected)
  })

  it('escapes every control character and every bidirectional control', () => {
    const unsafe = [
      ...range(0x00, 0x1f),
      ...range(0x7f, 0x9f),
      ...range(0x202a, 0x202e),
      ...range(0x2066, 0x2069),
      '\u061C',
      '\u200E',
      '\u200F',
    ]

    expect(unsafe.filter((character) => escapeTerminal(character) === character)).toEqual([])
    expect(
      unsafe.filter((character) => !/^\\[xu][0-9a-f]{2,4}$/.test(escapeTerminal(character))),
    ).toEqual([])
  })

  it('keeps the characters that the caller names', () => {
    expect(escapeTerminal('a\n\tb\r', '\n\t')).toBe('a\n\tb\\x0d')
  })

  it('keeps other text, as it is', () => {
    const text = 'naïve → 日本 🚢 {"a": "\\x1b"}'

    expect(escapeTerminal(text)).toBe(text)
  })
})
