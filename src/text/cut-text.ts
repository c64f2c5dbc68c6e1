/**
 * Returns a text of at most `maxLength` characters: the text itself, or its beginning and its length. For names that someone
 * else chose, in warnings, log lines, audit annotations and Events.
 *
 * @example cutText('a'.repeat(4_000), 30) // aaaaaaaaa... (4000 characters)
 */
export function cutText(text: string, maxLength: number = maxNameLength): string {
  if (text.length <= maxLength) return text
  const end = `... (${text.length} characters)`
  // A pair of surrogates must not be divided: half a pair is not valid in UTF-8.
  return text.slice(0, Math.max(0, maxLength - end.length)).replace(/[\ud800-\udbff]$/, '') + end
}

/** The longest image that a registry can serve (host, path, tag and digest) has 700 characters, a usual one 100. */
const maxNameLength = 256
