import { createHash } from 'node:crypto'

/**
 * Returns a SHA-256 of a docker config that does not depend on white space or on the order of its keys. Text that is not
 * JSON is hashed as it is.
 */
export function contentHash(text: string): string {
  let canonical: string
  try {
    canonical = JSON.stringify(sortKeys(JSON.parse(text)))
  } catch {
    canonical = text
  }
  return createHash('sha256').update(canonical).digest('hex')
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))
  return entries.map(([key, each]) => [key, sortKeys(each)])
}
