import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { measureJson, measureValue } from '../../src/json/measure-json.ts'
import { podOf, reviewOf } from '../support/reviews.ts'

const mebibyte = 1024 * 1024
const limits = { depth: 128, parsedBytes: 1024 * mebibyte }

function estimate(text: string): number {
  const size = measureJson(Buffer.from(text), limits)
  if (!size.ok) throw new Error(size.problem)
  return size.parsedBytes
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Returns the bytes that the parsed value keeps in the heap. */
function parsedBytes(text: string): number {
  collectGarbage()
  const before = process.memoryUsage().heapUsed
  const value: unknown = JSON.parse(text)
  collectGarbage()
  const after = process.memoryUsage().heapUsed
  return value === null ? 0 : after - before
}

/** Repeats a value in an array of about a megabyte. */
function repeated(valueOf: (index: number) => string): string {
  const values: string[] = []
  for (let length = 0; length < mebibyte; length += (values.at(-1)?.length ?? 0) + 1)
    values.push(valueOf(values.length))
  return `[${values.join(',')}]`
}

const base36 = (index: number) => index.toString(36)

const container = (index: number) => ({
  name: `container-${index}`,
  image: `registry.example/team/app-${index}:1.0`,
  resources: {},
  terminationMessagePath: '/dev/termination-log',
  terminationMessagePolicy: 'File',
  imagePullPolicy: 'IfNotPresent',
})

describe('the estimate of parsed JSON', () => {
  it.each([
    ['empty objects', () => '{}'],
    ['empty arrays', () => '[]'],
    ['nested arrays', () => '[[[[[[[[]]]]]]]]'],
    ['nested objects', () => '{"a":{"a":{"a":{"a":{}}}}}'],
    ['small numbers', () => '1'],
    ['numbers with fractions', (index: number) => `${index}.5`],
    ['numbers among strings', (index: number) => (index % 2 === 0 ? '1.5' : '""')],
    ['short strings', (index: number) => JSON.stringify(base36(index))],
    ['strings of 40 characters', (index: number) => JSON.stringify(base36(index).padStart(40))],
    ['objects with one key each', (index: number) => `{"${base36(index)}":1}`],
    ['objects with the same key', (index: number) => `{"a":${index}}`],
    [
      'objects with two keys each',
      (index: number) => `{"${base36(index % 999)}":1,"${base36(index)}":1}`,
    ],
    [
      'objects with thirty keys each',
      (index: number) =>
        `{${Array.from({ length: 30 }, (_, key) => `"${base36(index * 30 + key)}":1`).join()}}`,
    ],
    [
      'an object with all the keys',
      (index: number) =>
        index > 0
          ? '1'
          : `{${Array.from({ length: 100_000 }, (_, key) => `"${base36(key)}":1`).join()}}`,
    ],
    [
      'objects with the same 200 keys',
      () => `{${Array.from({ length: 200 }, (_, key) => `"${base36(key)}":1`).join()}}`,
    ],
    ['objects with an index as a key', () => '{"35":1}'],
    ['objects with indexes as keys', () => '{"0":1,"71":1}'],
    ['containers', (index: number) => JSON.stringify(container(index))],
  ])('is not below the real memory of %s', (_, valueOf) => {
    const text = repeated(valueOf)

    expect(parsedBytes(text)).toBeLessThan(estimate(text) * 1.05)
  })

  it('is at most six times the text of a pod with many containers', () => {
    const text = JSON.stringify(Array.from({ length: 10_000 }, (_, index) => container(index)))

    expect(estimate(text)).toBeLessThan(6 * text.length)
  })

  it('counts what strings contain as text only', () => {
    const text = JSON.stringify(['{"a":[1,2,{}]}\\', '[['.repeat(500)])

    expect(estimate(text)).toBeLessThan(text.length + 250)
  })

  it('of a parsed review is close to that of its text', () => {
    const review = reviewOf(podOf(Array.from({ length: 500 }, (_, index) => `app:${index}`)))

    expect(measureValue(review) / estimate(JSON.stringify(review))).toBeCloseTo(1, 0)
  })
})

/** Returns an object with generated keys as text. The keys must not exist in the heap when it is parsed. */
function objectOf(count: number, keyOf: (index: number) => string): string {
  return `{${Array.from({ length: count }, (_, index) => `"${keyOf(index)}":""`).join()}}`
}

describe('the estimate of a parsed value', () => {
  it.each([
    ['a long key', () => objectOf(1, () => 'k'.repeat(mebibyte))],
    ['keys of 500 characters', () => objectOf(2_000, (index) => base36(index).padStart(500, '-'))],
    ['keys of 19 characters', () => objectOf(20_000, (index) => base36(index).padStart(19, '-'))],
    ['a string with a character that is not Latin-1', () => `["${'a'.repeat(mebibyte)}\u4e00"]`],
    ['a key with such a character', () => objectOf(1, () => `${'a'.repeat(mebibyte)}\u4e00`)],
  ])('is not below the real memory of %s', (_, makeText) => {
    // In one piece: otherwise the parser leaves a copy of the text.
    const text = Buffer.from(makeText()).toString()
    const real = parsedBytes(text)

    expect(real).toBeLessThan(measureValue(JSON.parse(text)) * 1.05)
  })
})

describe('the limits of JSON', () => {
  const measure = (text: string, more: Partial<typeof limits>) =>
    measureJson(Buffer.from(text), { ...limits, ...more })
  const ok = expect.objectContaining({ ok: true }) as unknown
  const tooDeep = { ok: false, problem: 'too-deep' }

  it.each([
    ['128 levels', '['.repeat(128) + ']'.repeat(128), ok],
    ['129 levels', '['.repeat(129) + ']'.repeat(129), tooDeep],
    ['129 levels of objects', '{"a":'.repeat(129), tooDeep],
    ['8 MiB of brackets', '['.repeat(8 * mebibyte), tooDeep],
    ['many shallow values', '[]'.repeat(1000), ok],
    ['unbalanced brackets', ']]]]}}}[[', ok],
    ['an unfinished string', '"\\', ok],
    ['a colon alone', ':,:', ok],
  ])('judge the depth of %s', (_, text, expected) => {
    expect(measure(text, {})).toEqual(expected)
  })

  it('refuse 8 MiB of small objects for their parsed size', () => {
    const text = `[${'{},'.repeat((8 * mebibyte) / 3)}{}]`

    expect(measure(text, { parsedBytes: 64 * mebibyte })).toEqual({
      ok: false,
      problem: 'too-large',
    })
  })
})
