/** Reading JSON that someone else wrote: values stay `unknown` until they are checked. */

export type JsonObject = Readonly<Record<string, unknown>>

/** True for a JSON object; false for arrays and null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An own member of a JSON object, undefined for anything else; `__proto__` and the like are data and never reach the prototype. */
export function member(value: unknown, key: string): unknown {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
}

/** A string member; empty when it is missing or of another type. */
export function textMember(value: unknown, key: string): string {
  const text = member(value, key)
  return typeof text === 'string' ? text : ''
}

/** The objects of a list member; empty when it is missing or not a list. */
export function objectsMember(value: unknown, key: string): readonly JsonObject[] {
  const list = member(value, key)
  return Array.isArray(list) ? list.filter(isObject) : []
}
