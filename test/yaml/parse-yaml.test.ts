import { fc, runs } from '../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { configLimits } from '../../src/yaml/limits.ts'
import { parseYaml } from '../../src/yaml/parse-yaml.ts'

/** Returns the errors with their line and column. */
function errors(text: string, limits = configLimits): string[] {
  const parsed = parseYaml(text, limits, { merge: true })
  return parsed.errors.map(({ offset, message }) => {
    const { line, column } = parsed.positionAt(offset)
    return `${line}:${column}: ${message}`
  })
}

function valueOf(text: string): unknown {
  const parsed = parseYaml(text, configLimits, { merge: true })
  expect(parsed.errors).toEqual([])
  return parsed.documents[0]?.toJS({ maxAliasCount: -1 })
}

describe('the limits', () => {
  it.each([
    ['[', 201],
    ['{', 201],
    ['- ', 401],
    ['? ', 401],
    ['{ a: ', 1001],
    ['[{', 201],
  ])('reject %j, 300,000 times, at the level that is too deep', (text, column) => {
    expect(errors(text.repeat(300_000))).toEqual(
      text.length * 300_000 > configLimits.length
        ? [expect.stringMatching(/^1:1: the text has \d+ characters, more than the limit/)]
        : [`1:${column}: maps and lists are nested more than 200 levels deep; flatten them`],
    )
  })

  it('reject indentation that is too deep', () => {
    const text = Array.from({ length: 300 }, (_, index) => `${' '.repeat(index)}a:`).join('\n')

    expect(errors(text)[0]).toMatch(/^20\d:\d+: maps and lists are nested more than 200/)
  })

  it('allow 200 levels', () => {
    expect(errors('['.repeat(200) + ']'.repeat(200))).toEqual([])
    expect(errors('['.repeat(201) + ']'.repeat(201))).toHaveLength(1)
  })

  it('reject a text with too many characters, words or documents', () => {
    expect(errors('aaaa', { length: 3, tokens: 9 })).toEqual([
      '1:1: the text has 4 characters, more than the limit of 3',
    ])
    expect(errors('[a,\n a, a]', { length: 99, tokens: 9 })).toEqual([
      expect.stringMatching(/^2:\d: the text has more than 9 words and punctuation marks/),
    ])
    expect(errors('---\n'.repeat(20_000))).toEqual([
      expect.stringContaining('more than 10000 YAML documents'),
    ])
  })

  it('end the list of errors after 20', () => {
    expect(errors(']'.repeat(300_000))).toHaveLength(20)
    expect(errors(`[${','.repeat(300_000)}`)).toHaveLength(20)
    expect(errors(`"${'\\q'.repeat(300_000)}"`)).toHaveLength(20)
  })
})

describe('keys', () => {
  const keys = Array.from({ length: 50_000 }, (_, index) => `k${index}: 1`)

  it('may be many in one map', () => {
    expect(Object.keys(valueOf(keys.join('\n')) as object)).toHaveLength(50_000)
    expect(Object.keys(valueOf(`{${keys.join(', ')}}`) as object)).toHaveLength(50_000)
  })

  it('must be unique in their map', () => {
    expect(errors([...keys, 'k7: 2'].join('\n'))).toEqual([
      '50001:1: invalid YAML: Map keys must be unique',
    ])
    expect(errors('a: { b: 1, c: 2, b: 3 }')).toEqual([
      '1:18: invalid YAML: Map keys must be unique',
    ])
    expect(errors('a: { b: 1 }\nc: { b: 1 }')).toEqual([])
  })

  it('may merge several maps', () => {
    expect(valueOf('a: &a { x: 1 }\nb: &b { y: 2 }\nc:\n  <<: *a\n  <<: *b')).toMatchObject({
      c: { x: 1, y: 2 },
    })
  })
})

describe('aliases', () => {
  it('may repeat a value many times', () => {
    expect(valueOf(`[&a b${', *a'.repeat(1_500)}]`)).toEqual(Array(1_501).fill('b'))
  })

  it.each([
    ['of lists of aliases', laughs(9)],
    ['of a long text', `- &a ${'x'.repeat(100_000)}\n${'- *a\n'.repeat(100)}`],
    ['that nest each other', `- &a0 []\n${nested(1_000)}`],
    ['of a short text', `- &a b\n${'- *a\n'.repeat(100_000)}`],
    ['of merged maps', `a: &a { x: ${'y'.repeat(100_000)} }\nb:\n${'  <<: *a\n'.repeat(1_000)}`],
  ])('%s are rejected', (_, text) => {
    expect(errors(text)).toEqual([
      expect.stringMatching(/^\d+:\d+: the text uses too many YAML aliases; write the values/),
    ])
  })

  it.each([
    ['a: &a [b, *a]', '1:11: invalid YAML: the alias is inside its own anchor'],
    ['a: *b\nb: &b c', '1:4: invalid YAML: the alias has no anchor before it'],
  ])('without a value are rejected: %j', (text, expected) => {
    expect(errors(text)).toEqual([expected])
  })

  it('stand for the last anchor before them', () => {
    expect(valueOf('[&a 1, *a, &a 2, *a]')).toEqual([1, 1, 2, 2])
  })
})

/** Ten aliases in each of several lists: 10^depth values. */
function laughs(depth: number): string {
  const lists = Array.from({ length: depth }, (_, index) => {
    const alias = index === 0 ? 'x' : `*a${index - 1}`
    return `a${index}: &a${index} [${Array(10).fill(alias).join(', ')}]`
  })
  return lists.join('\n')
}

function nested(depth: number): string {
  return Array.from({ length: depth }, (_, index) => `- &a${index + 1} [*a${index}]`).join('\n')
}

describe('messages', () => {
  it.each([
    `password: 'a' hunter2`,
    'password: [a] hunter2',
    'password: |hunter2\n  a',
    '%hunter2 a\n---\na',
    '%YAML hunter2\n---\na',
    'password: !hunter2!x a',
    'password: !<hunter2 a',
    'password: *hunter2',
    '"password: \\hunter2"',
    '"password: \\xhunter2"',
    'password: "hunter2',
    'password: hunter2: a',
    'password: @hunter2',
    '{ hunter2: a, hunter2: b }',
    '} hunter2',
    '... hunter2',
    '- hunter2\nhunter2',
    '\thunter2: a',
  ])('do not repeat the text: %j', (text) => {
    expect(errors(text).join('\n')).not.toContain('hunter')
  })

  it.each(['\u0000', 'a: "\u001B[2J"', '# \u009B', 'a\u007F', '{"a": "\u0007"}'])(
    'name the control character of %j',
    (text) => {
      expect(errors(text)).toEqual([
        expect.stringMatching(/invalid YAML: the control character U\+00.. is not allowed/),
      ])
    },
  )

  it('allow the control characters that YAML allows, and in JSON those that JSON allows', () => {
    expect(errors('a:\tb\r\nc: d\u0085')).toEqual([])
    expect(errors('{"a": "\u007F\u009B"}')).toEqual([])
  })
})

describe('a generated text', () => {
  const marks = ['[', ']', '{', '}', '- ', '? ', ': ', ', ', '&a ', '*a', '!t ', '#', '|\n', '>\n']
  const words = ['a', '1', '\n', '  ', '\t', '\r\n', '"', "'", '\\', '%', '<<: *a\n', 'a: &a\n']
  const pieces = [...marks, ...words, '---\n', '...\n']

  it('has a value or errors', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 400 }), (chosen) => {
        const { documents, errors: found } = parseYaml(chosen.join(''), configLimits)
        if (found.length > 0) return
        for (const document of documents) JSON.stringify(document.toJS({ maxAliasCount: -1 }))
      }),
      runs(2_000),
    )
  })
})
