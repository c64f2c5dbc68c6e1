import { fc, runs } from '../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import {
  findJsonProblem,
  type JsonHandler,
  type JsonLimits,
  type JsonScalar,
  JsonScanner,
} from '../../src/json/json-scanner.ts'

const unlimited: JsonLimits = { maxDepth: Infinity, maxValues: Infinity }

function problemOf(text: string, limits = unlimited) {
  return findJsonProblem(Buffer.from(text), limits)
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Feeds a document in pieces of this size, and returns what was reported. */
function read(text: string, pieceBytes = Infinity) {
  const members: [string, JsonScalar | undefined][] = []
  const texts: [string, string][] = []
  const handler: JsonHandler = {
    onMember: (key, value) => members.push([key, value]),
    onText: (key, value) => texts.push([key, value]),
  }
  const scanner = new JsonScanner(unlimited, handler)
  const bytes = Buffer.from(text)
  for (let start = 0; start < bytes.length; start += pieceBytes) {
    scanner.write(bytes.subarray(start, start + pieceBytes))
  }
  return { problem: scanner.end(), isObject: scanner.isObject, members, texts }
}

describe('JsonScanner', () => {
  it.each(['{}', '[]', ' {"a" : [ 1 , -0.5e+3, "x\\u00e9\\n" , null ] , "b":{}}\n', 'true', '0'])(
    'accepts %s',
    (text) => {
      expect(problemOf(text)).toBeNull()
    },
  )

  it.each([
    '',
    ' ',
    '{',
    '[1,]',
    '{"a":1,}',
    '{"a"}',
    '{"a":}',
    '{a:1}',
    '[}',
    '{]',
    ']',
    '{}{}',
    '{} x',
    '1 2',
    '01',
    '1.',
    '.5',
    '+1',
    'nul',
    'truefalse',
    '"\\x"',
    '"\\u12g4"',
    '"a\nb"',
    '"open',
    '["a" "b"]',
    '[,1]',
    '\ufeff{}',
  ])('rejects %j', (text) => {
    expect([parses(text), problemOf(text)]).toEqual([false, 'invalid'])
  })

  it('agrees with JSON.parse about changed documents', () => {
    const characters = [...'{}[],:"\\ 0189.eE+-tfnu\n', 'true', 'null', '\\u00e9', '"a":', '"k"']
    const text = fc
      .array(fc.constantFrom(...characters), { maxLength: 24 })
      .map((all) => all.join(''))
    fc.assert(
      fc.property(text, (each) => {
        expect(problemOf(each) === null).toBe(parses(each))
      }),
      runs(20_000),
    )
  })

  it('reads the members and texts of any document, in pieces of any size', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.integer({ min: 1, max: 9 }),
        (document, size) => {
          const expected = Object.entries(JSON.parse(JSON.stringify(document)) as object)
          const isScalar = (value: unknown) => typeof value !== 'object' || value === null

          expect(read(JSON.stringify(document), size)).toEqual({
            problem: null,
            isObject: true,
            members: expected.map(([key, value]) => [key, isScalar(value) ? value : undefined]),
            texts: expected.flatMap(([key, value]) =>
              Array.isArray(value)
                ? value.filter((item) => typeof item === 'string').map((item) => [key, item])
                : [],
            ),
          })
        },
      ),
    )
  })

  it('does not report what is deeper, in a list of lists, or longer than 1 KiB', () => {
    const long = 'x'.repeat(1_025)
    const document = {
      a: { b: 1, c: ['no'] },
      d: [['no'], { e: 'no' }, long, 'yes'],
      f: long,
      [long]: 1,
    }

    expect(read(JSON.stringify(document))).toMatchObject({
      members: ['a', 'd', 'f'].map((key) => [key, undefined]),
      texts: [['d', 'yes']],
    })
    expect(read(JSON.stringify([['no'], 'no']))).toMatchObject({ members: [], texts: [] })
  })

  it('reports each occurrence of a repeated key', () => {
    expect(read('{"a":1,"a":2}').members).toEqual([
      ['a', 1],
      ['a', 2],
    ])
  })

  it('tells an object from other documents', () => {
    expect(['{}', '[{}]', '"{}"', 'null'].map((text) => read(text).isObject)).toEqual([
      true,
      false,
      false,
      false,
    ])
  })

  it('stops at its limits', () => {
    const limits = { maxDepth: 3, maxValues: 5 }

    expect(problemOf('[[[]]]', limits)).toBeNull()
    expect(problemOf('[[[[', limits)).toBe('too deep')
    expect(problemOf('[1,2,3,4]', limits)).toBeNull()
    expect(problemOf('[1,2,3,4,5', limits)).toBe('too many values')
  })

  it.each(['[', '{},', '"a",', '0,', '{"a":1},'])('takes linear time for 4 MiB of %s', (text) => {
    const bytes = Buffer.from(`{"a":[${text.repeat(2 ** 22 / text.length)}`)
    const scanner = new JsonScanner(unlimited, { onText: () => undefined })
    const started = performance.now()
    for (let start = 0; start < bytes.length; start += 1_000)
      scanner.write(bytes.subarray(start, start + 1_000))

    expect(scanner.problem).toBeNull()
    expect(performance.now() - started).toBeLessThan(5_000)
  })
})
