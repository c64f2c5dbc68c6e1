/** Checks a value against the schema of the config file, and explains what does not fit. */
import { closestWord } from '../text/did-you-mean.ts'
import type { PathPart } from './problem.ts'
import { type ConfigInput, configSchema } from './schema.ts'

interface ShapeProblem {
  readonly path: readonly PathPart[]
  /** Returns the message. Not all of them are shown, and a suggestion takes time. */
  readonly message: () => string
}

export type ShapeResult =
  | { readonly ok: true; readonly input: ConfigInput }
  | { readonly ok: false; readonly problems: readonly ShapeProblem[] }

/**
 * Up to this many characters, the value is checked without compiling the schema to code first: that takes 6 ms, and pays
 * from about 80 rows (bench/README.md, "Profiling notes").
 */
const shortText = 10_000

/** Returns the value of a text with defaults filled in, or every problem of its shape. */
export function checkShape(value: unknown, textLength: number): ShapeResult {
  const options = { reportInput: true, jitless: textLength <= shortText }
  const result = configSchema.safeParse(value, options)
  if (result.success) return { ok: true, input: result.data }
  const problems = result.error.issues.flatMap((issue): ShapeProblem[] => {
    const path = issue.path as PathPart[]
    if (issue.code !== 'unrecognized_keys') return [{ path, message: () => messageOf(issue) }]
    // The schema gives the known keys in place of a message.
    const known = issue.message.split(', ')
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: () => unknownKey(key, known),
    }))
  })
  return { ok: false, problems }
}

type SchemaError = Exclude<ReturnType<typeof configSchema.safeParse>['error'], undefined>
type SchemaIssue = SchemaError['issues'][number]

function unknownKey(key: string, known: readonly string[]): string {
  const closest = closestWord(key, known)
  return closest === null
    ? `unknown key; the keys here are ${known.join(', ')}`
    : `unknown key; did you mean "${closest}"?`
}

function messageOf(issue: SchemaIssue): string {
  // Other messages are written in the schema.
  if (!/^(?:Invalid|Too) /.test(issue.message)) return issue.message
  if (issue.code === 'invalid_type') {
    const expected = typeName(issue.expected)
    if (issue.input === undefined) return `the key is missing; it must be ${expected}`
    return issue.expected === 'int' && typeof issue.input === 'number'
      ? `must be ${expected}`
      : `must be ${expected}, not ${typeName(typeOf(issue.input))}`
  }
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String)
    const closest = closestWord(String(issue.input), values)
    const hint = closest === null ? '' : `; did you mean "${closest}"?`
    return `must be one of ${values.join(', ')}${hint}`
  }
  if (issue.code === 'too_small') {
    if (issue.origin === 'number') return `must be at least ${issue.minimum}`
    return issue.origin === 'array'
      ? 'must not be empty; add at least one item'
      : 'must not be empty'
  }
  if (issue.code === 'too_big') {
    if (issue.origin === 'number') return `must be at most ${issue.maximum}`
    return `must have at most ${issue.maximum} ${issue.origin === 'array' ? 'items' : 'characters'}`
  }
  return issue.message
}

const typeNames: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'a map',
  record: 'a map',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  null: 'empty',
}

function typeName(type: string): string {
  return typeNames[type] ?? type
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}
