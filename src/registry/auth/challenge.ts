/**
 * Parses `WWW-Authenticate` headers (RFC 9110, 11.6.1). Registries send several headers, several challenges in one header,
 * and commas inside quoted strings. The parser skips what it cannot read.
 */
import { type Cursor, take, takeQuotedString } from '../http/header-scanner.ts'

export interface Challenge {
  /** In lower case: `basic`, `bearer`. */
  readonly scheme: string
  /** Names in lower case. If a name occurs twice, the first one counts. */
  readonly parameters: ReadonlyMap<string, string>
}

/** Returns the challenge to answer, or null. Prefers Bearer to Basic, as go-containerregistry does: a token grants less. */
export function selectChallenge(challenges: readonly Challenge[]): Challenge | null {
  const find = (wanted: string) => challenges.find(({ scheme }) => scheme === wanted)
  return find('bearer') ?? find('basic') ?? null
}

/** Returns all challenges of all headers, in order. Takes time linear in their length, and never throws. */
export function parseChallenges(headers: readonly string[]): readonly Challenge[] {
  return headers.flatMap(parseHeader)
}

function parseHeader(text: string): readonly Challenge[] {
  const cursor: Cursor = { rest: text }
  const challenges: { scheme: string; parameters: Map<string, string> }[] = []
  while (take(cursor, /^[\s,]*/) !== null && cursor.rest !== '') {
    const name = take(cursor, token)
    if (name === null) {
      take(cursor, unreadable)
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

/** The value that schemes such as `Negotiate` have instead of parameters, if a new challenge or the end follows. */
const token68 = /^[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)/

/** At least one character, up to the next comma that is not in a quoted string. */
const unreadable = /^(?:"(?:[^"\\]|\\.)*(?:"|\\?$)|[^,"])[^,"]*/s

/** Takes a token or a quoted string. */
function takeValue(cursor: Cursor): string | null {
  take(cursor, /^\s*/)
  if (cursor.rest.startsWith('"')) return takeQuotedString(cursor)
  // Some registries send the realm without quotes. A URL is not a token, so this takes everything up to the comma.
  return take(cursor, /^[^\s,"]*/)
}
