/**
 * How a registry says what it wants to see (RFC 9110, 11.6.1). Registries send several headers, several challenges in
 * one header, and commas inside quotes; what cannot be read is passed over, never an error.
 */

export interface Challenge {
  /** In lower case: `basic`, `bearer`. */
  readonly scheme: string
  /** Names in lower case. Of two with one name the first counts. */
  readonly parameters: ReadonlyMap<string, string>
}

interface Cursor {
  readonly text: string
  at: number
}

/** Reads all challenges of all `WWW-Authenticate` headers, in order. Linear in their length; never throws. */
export function parseChallenges(headers: readonly string[]): readonly Challenge[] {
  return headers.flatMap(parseHeader)
}

function parseHeader(text: string): readonly Challenge[] {
  const cursor: Cursor = { text, at: 0 }
  const challenges: { scheme: string; parameters: Map<string, string> }[] = []
  while (skip(cursor, /[\s,]*/y) !== null && cursor.at < text.length) {
    const name = skip(cursor, token)
    if (name === null) {
      skip(cursor, junk)
    } else if (skip(cursor, /\s*=/y) === null) {
      challenges.push({ scheme: name.toLowerCase(), parameters: new Map() })
      skip(cursor, token68)
    } else {
      const value = readValue(cursor)
      const parameters = challenges.at(-1)?.parameters
      if (value !== null && parameters?.has(name.toLowerCase()) === false) {
        parameters.set(name.toLowerCase(), value)
      }
    }
  }
  return challenges
}

/** RFC 9110, 5.6.2. */
const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y

/** What `Negotiate` and its like have instead of parameters. Only if nothing but the next challenge follows. */
const token68 = /[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)/y

/** At least one character, and up to where something new can begin. A quoted part is stepped over as a whole. */
const junk = /(?:"(?:[^"\\]|\\.)*"|[^,])[^,"]*/y

const quoted = /"((?:[^"\\]|\\.)*)"/y

/** A token or a quoted string; null if the quote is never closed, and then nothing after it is believed. */
function readValue(cursor: Cursor): string | null {
  skip(cursor, /\s*/y)
  if (cursor.text[cursor.at] !== '"') {
    // Realms have been seen without quotes, and a URL is no token: take what there is up to the comma.
    return skip(cursor, /[^\s,"]*/y)
  }
  const string = skip(cursor, quoted)
  if (string !== null) return string.slice(1, -1).replace(/\\(.)/g, '$1')
  cursor.at = cursor.text.length
  return null
}

function skip(cursor: Cursor, pattern: RegExp): string | null {
  pattern.lastIndex = cursor.at
  const [found] = pattern.exec(cursor.text) ?? []
  if (found === undefined) return null
  cursor.at += found.length
  return found
}
