/** Formats and parses JSON Pointers (RFC 6901). */
import jsonPatch from 'fast-json-patch'

/** Returns the pointer for a path of unescaped tokens, for example `/metadata/annotations/berth.dev~1images`. */
export function jsonPointer(path: readonly (string | number)[]): string {
  return path.map((token) => `/${jsonPatch.escapePathComponent(String(token))}`).join('')
}

/** Returns the unescaped tokens of a pointer; empty for the whole document. */
export function parseJsonPointer(pointer: string): string[] {
  return pointer.split('/').slice(1).map(jsonPatch.unescapePathComponent)
}
