/** Reads response headers piece by piece. */

/** The text that remains to be parsed. */
export interface Cursor {
  rest: string
}

const quotedString = /^"((?:[^"\\]|\\.)*)"/s

/** Takes what the pattern matches at the start of the text; null if it does not match. */
export function take(cursor: Cursor, pattern: RegExp): string | null {
  const [match] = pattern.exec(cursor.rest) ?? []
  if (match === undefined) return null
  cursor.rest = cursor.rest.slice(match.length)
  return match
}

/** Takes a quoted string and returns its text. For a quote that is never closed, returns null and skips the rest of the header. */
export function takeQuotedString(cursor: Cursor): string | null {
  const string = take(cursor, quotedString)
  if (string !== null) return string.slice(1, -1).replace(/\\(.)/gs, '$1')
  cursor.rest = ''
  return null
}
