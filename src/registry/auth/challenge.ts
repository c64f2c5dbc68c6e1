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

/** What is left to read. */
interface Cursor {
  rest: string
}

/** Reads all challenges of all `WWW-Authenticate` headers, in order. Linear in their length; never throws. */
export function parseChallenges(headers: readonly string[]): readonly Challenge[] {
  return headers.flatMap(parseHeader)
}

function parseHeader(text: string): readonly Challenge[] {
  const cursor: Cursor = { rest: text }
  const challenges: { scheme: string; parameters: Map<string, string> }[] = []
  while (take(cursor, /^[\s,]*/) !== null && cursor.rest !== '') {
    const name = take(cursor, token)
    if (name === null) {
      take(cursor, junk)
    } else if (take(cursor, /^\s*=/) === null) {
      challenges.push({ scheme: name.toLowerCase(), parameters: new Map() })
      take(cursor, token68)
    } else {
      const value = takeValue(cursor)
      const parameters = challenges.at(-1)?.parameters
      if (value !== null && parameters?.has(name.toLowerCase()) === false) {
        parameters.set(name.toLowerCase(), value)
      }
    }
  }
  return challenges
}

/** RFC 9110, 5.6.2. */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+/

/** What `Negotiate` and its like have instead of parameters, if nothing but the next challenge follows. */
const token68 = /^[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)/

/** At least one character, and up to where something new can begin. A quoted part is stepped over as a whole. */
const junk = /^(?:"(?:[^"\\]|\\.)*(?:"|\\?$)|[^,"])[^,"]*/s

const quoted = /^"((?:[^"\\]|\\.)*)"/s

/** A token or a quoted string; null if the quote is never closed, and then nothing after it is believed. */
function takeValue(cursor: Cursor): string | null {
  take(cursor, /^\s*/)
  if (!cursor.rest.startsWith('"')) {
    // Realms have been seen without quotes, and a URL is no token: take what there is up to the comma.
    return take(cursor, /^[^\s,"]*/)
  }
  const string = take(cursor, quoted)
  if (string !== null) return string.slice(1, -1).replace(/\\(.)/gs, '$1')
  cursor.rest = ''
  return null
}

function take(cursor: Cursor, pattern: RegExp): string | null {
  const [found] = pattern.exec(cursor.rest) ?? []
  if (found === undefined) return null
  cursor.rest = cursor.rest.slice(found.length)
  return found
}
