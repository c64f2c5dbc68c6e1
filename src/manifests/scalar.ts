/** How a value is written in YAML, in the style of what it replaces. */

/** Plain in every place, block or flow, and text to every YAML version: it begins with a letter or has a slash, and holds no `: `. */
const plainText = /^[A-Za-z0-9][A-Za-z0-9._/@-]*(?::[A-Za-z0-9._/@-]+)*$/

/** The text of a string in place of `old`, whose style it keeps where that is possible. `style` is the library's name for it. */
export function scalarText(value: string, style: string | undefined | null, old: string): string {
  if (style === 'QUOTE_DOUBLE') return JSON.stringify(value)
  if (style === 'QUOTE_SINGLE') return `'${value.replaceAll("'", "''")}'`
  // A block scalar ends with its line.
  return plainOrQuoted(value) + (/\r?\n$/.exec(old)?.[0] ?? '')
}

/** Plain where that cannot be taken for anything else, else in double quotes. */
export function plainOrQuoted(value: string): string {
  const isName =
    plainText.test(value) &&
    /[a-z]/i.test(value) &&
    !/^(?:[yn]|yes|no|on|off|true|false|null)$/i.test(value)
  return isName ? value : JSON.stringify(value)
}
