/** Regular expressions of Go, with its syntax, its replacements, and its guarantee of linear time. */
import { RE2JS } from 're2js'

export interface GoRegexp {
  /** Returns the text with all matches replaced, as `ReplaceAllString` does. */
  readonly replaceAll: (text: string, replacement: string) => string
}

/** Returns null for text that Go does not compile. */
export function compileGoRegexp(pattern: string): GoRegexp | null {
  try {
    const compiled = RE2JS.compile(pattern)
    return { replaceAll: (text, replacement) => replaceAll(compiled, text, replacement) }
  } catch {
    return null
  }
}

type Groups = Readonly<Record<string, string | undefined>>

function replaceAll(compiled: RE2JS, text: string, replacement: string): string {
  const groupCount = compiled.groupCount()
  let end = -1
  return compiled.matcher(text).replaceAll((...found: unknown[]) => {
    const [match, offset] = [String(found[0]), Number(found[groupCount + 1])]
    // Go ignores an empty match right after another match.
    if (match === '' && offset === end) return ''
    end = offset + match.length
    const numbered = found.slice(0, groupCount + 1) as (string | undefined)[]
    return expand(replacement, numbered, (found[groupCount + 3] ?? {}) as Groups)
  })
}

/** Go's Regexp.Expand: `$name` takes the longest name, so `$1x` is the group `1x`; a group that does not exist is empty. */
function expand(
  template: string,
  numbered: readonly (string | undefined)[],
  named: Groups,
): string {
  return template.replaceAll(
    /\$(?:(\$)|([\p{L}\p{Nd}_]+)|\{([\p{L}\p{Nd}_]+)\})/gu,
    (_, dollar?: string, bare?: string, braced?: string) => {
      if (dollar !== undefined) return dollar
      const name = bare ?? braced ?? ''
      return (/^\d+$/.test(name) ? numbered[Number(name)] : named[name]) ?? ''
    },
  )
}
