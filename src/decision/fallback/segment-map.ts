/**
 * A map by path segments, some with wildcards, that finds the entries for one segment without testing all globs. A glob is
 * stored by the literal text before its first wildcard and after its last one.
 */
import { hasWildcard } from './glob.ts'

export interface SegmentMap<Value> {
  /** Returns the value that is stored for a segment. Creates it the first time. */
  at(segment: string): Value
  /** Returns the values whose segment may match this one, which has no wildcards. */
  find(segment: string): readonly Value[]
}

/** The lengths of the literal texts around the wildcards of a glob. */
interface Shape {
  readonly prefix: number
  readonly suffix: number
}

/** Creates an empty map. `create` returns the first value of a segment. */
export function createSegmentMap<Value>(create: () => Value): SegmentMap<Value> {
  /** By segment, or by the key of a glob. Only such a key has a star. */
  const values = new Map<string, Value>()
  const shapes: Shape[] = []

  function keyOfGlob(segment: string): string {
    const prefix = /^[^*?[]*/.exec(segment)?.[0] ?? ''
    const suffix = /[^*?\]]*$/.exec(segment)?.[0] ?? ''
    const shape = { prefix: prefix.length, suffix: suffix.length }
    if (!shapes.some((each) => isSame(each, shape))) shapes.push(shape)
    return keyOf(prefix, suffix)
  }

  return {
    at: (segment) => {
      const key = hasWildcard(segment) ? keyOfGlob(segment) : segment
      const known = values.get(key)
      if (known !== undefined) return known
      const created = create()
      values.set(key, created)
      return created
    },
    find: (segment) => {
      const found: Value[] = []
      const literal = values.get(segment)
      if (literal !== undefined) found.push(literal)
      for (const { prefix, suffix } of shapes) {
        const end = segment.length - suffix
        if (prefix > end) continue
        const value = values.get(keyOf(segment.slice(0, prefix), segment.slice(end)))
        if (value !== undefined) found.push(value)
      }
      return found
    },
  }
}

/** A star is in neither of the two texts. */
function keyOf(prefix: string, suffix: string): string {
  return `${prefix}*${suffix}`
}

function isSame(one: Shape, other: Shape): boolean {
  return one.prefix === other.prefix && one.suffix === other.suffix
}
