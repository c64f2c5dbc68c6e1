/** Writes a string as a YAML scalar, in the style of the scalar that it replaces. */

/** Plain in block and flow style, and a string in every YAML version: it starts with a letter or digit and does not contain `: `. */
const plainText = /^[A-Za-z0-9][A-Za-z0-9._/@-]*(?::[A-Za-z0-9._/@-]+)*$/

/** Returns the text for `value` in place of the text `old`, in the same style if possible. `style` is the library's name for it. */
export function scalarText(value: string, style: string | undefined | null, old: string): string {
  if (style === 'QUOTE_DOUBLE') return JSON.stringify(value)
  if (style === 'QUOTE_SINGLE') return `'${value.replaceAll("'", "''")}'`
  // The text of a block scalar includes its newline.
  return plainOrQuoted(value) + (/\r?\n$/.exec(old)?.[0] ?? '')
}

/** Returns a plain scalar if it cannot be read as another type, otherwise a double-quoted one. */
export function plainOrQuoted(value: string): string {
  const isPlain =
    plainText.test(value) &&
    /[a-z]/i.test(value) &&
    !/^(?:[yn]|yes|no|on|off|true|false|null)$/i.test(value)
  return isPlain ? value : JSON.stringify(value)
}
