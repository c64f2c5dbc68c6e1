/**
 * Generators of JSON text for fast-check. Text, because JavaScript values cannot express all of JSON: a duplicate member,
 * 2^53 + 1, half a surrogate pair, `__proto__` as a name.
 */
import { fc } from '../support/fast-check.ts'

export type JsonText = fc.Arbitrary<string>

const hostileTexts = [
  '',
  ' ',
  '""',
  '/',
  '~',
  '~0',
  '~1',
  '~01',
  'a/b~c',
  '-',
  '0',
  '-1',
  '01',
  '\\',
  '\\u0000',
  '\u0000',
  '\n',
  '\u001b[31m',
  '\u202e',
  '\u2028',
  '\u212a',
  '\ufeff',
  '\ud800',
  '\udfff\ud800',
  '<&>',
  '${x}',
  '{{.x}}',
  '__proto__',
  'constructor',
  'prototype',
  'hasOwnProperty',
  'toString',
  'toJSON',
  'then',
  'length',
  'berth.dev/images',
  '9007199254740993',
]

const anyUnits = fc
  .array(fc.integer({ min: 0, max: 0xff_ff }), { maxLength: 8 })
  .map((units) => String.fromCharCode(...units))

/** Strings that an attacker would try, and random ones. */
export const hostile: fc.Arbitrary<string> = fc.oneof(
  { arbitrary: fc.constantFrom(...hostileTexts), weight: 3 },
  { arbitrary: anyUnits, weight: 1 },
)

const numbers = [
  '0',
  '-0',
  '1',
  '1.50',
  '1e400',
  '-1E-7',
  '9007199254740993',
  '18446744073709551615',
]

/** Any JSON, a few levels deep. */
export const json: JsonText = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'json' },
    fc.constantFrom('null', 'true', 'false', '{}', '[]', ...numbers),
    quoted(hostile),
    listOf(tie('node'), 3),
    fc
      .array(fc.tuple(quoted(hostile), tie('node')), { maxLength: 3, depthIdentifier: 'json' })
      .map(braced),
  ),
})).node

/** The given JSON in most cases, any JSON in a few. */
export function wild(text: JsonText): JsonText {
  return fc.oneof({ arbitrary: text, weight: 30 }, { arbitrary: json, weight: 1 })
}

export function quoted(strings: fc.Arbitrary<string>): JsonText {
  return strings.map((text) => JSON.stringify(text))
}

export function listOf(item: JsonText, maxLength: number): JsonText {
  return fc
    .array(item, { maxLength, depthIdentifier: 'json' })
    .map((items) => `[${items.join(',')}]`)
}

/** An object whose `usual` members are rarely missing and whose `rare` members often are; sometimes with an unknown member. */
export function objectOf(
  usual: Readonly<Record<string, JsonText>>,
  rare: Readonly<Record<string, JsonText>> = {},
): JsonText {
  const members = [...membersOf(usual, 30, 1), ...membersOf(rare, 1, 2)]
  const unknown = maybe(fc.tuple(quoted(hostile), json), 1, 5)
  return fc
    .tuple(unknown, ...members)
    .map((pairs) => braced(pairs.filter((pair) => pair !== null) as [string, string][]))
}

function membersOf(fields: Readonly<Record<string, JsonText>>, present: number, absent: number) {
  return Object.entries(fields).map(([name, text]) =>
    maybe(
      text.map((value) => [JSON.stringify(name), value] as const),
      present,
      absent,
    ),
  )
}

/** The value or null, in this proportion. */
function maybe<T>(value: fc.Arbitrary<T>, present: number, absent: number): fc.Arbitrary<T | null> {
  return fc.oneof(
    { arbitrary: value, weight: present },
    { arbitrary: fc.constant(null), weight: absent },
  )
}

export function braced(members: readonly (readonly [string, string])[]): string {
  return `{${members.map(([name, value]) => `${name}:${value}`).join(',')}}`
}
