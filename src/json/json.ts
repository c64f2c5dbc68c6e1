/** Reads untrusted JSON: values stay `unknown` until they are checked. */

export type JsonObject = Readonly<Record<string, unknown>>

/** Returns true for a JSON object, and false for arrays and null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns an own member of a JSON object, undefined for other values. Does not return inherited members such as `constructor`. */
export function member(value: unknown, key: string): unknown {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
}

/** Returns a string member; empty if it is missing or of another type. */
export function textMember(value: unknown, key: string): string {
  const text = member(value, key)
  return typeof text === 'string' ? text : ''
}

/** Returns the objects of a list member; empty if it is missing or not a list. */
export function objectsMember(value: unknown, key: string): readonly JsonObject[] {
  const list = member(value, key)
  return Array.isArray(list) ? list.filter(isObject) : []
}
