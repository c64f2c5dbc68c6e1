/** Makes characters visible that could move the cursor, recolour the terminal, or reorder the text that a person reads. */

/** Control characters (C0, DEL, C1) and Unicode's bidirectional controls (UAX #9, "Trojan Source", CVE-2021-42574). */
const unsafe = /[\p{Control}\p{Bidi_Control}]/gu

/**
 * Returns `text` with each unsafe character written as `\x1b` or `\u202e`. Characters in `keep`, for example `\n\t`, stay
 * as they are.
 */
export function escapeTerminal(text: string, keep = ''): string {
  return text.replaceAll(unsafe, (character) =>
    keep.includes(character) ? character : escaped(character),
  )
}

function escaped(character: string): string {
  const hex = character.charCodeAt(0).toString(16)
  return hex.length > 2 ? `\\u${hex.padStart(4, '0')}` : `\\x${hex.padStart(2, '0')}`
}
