/** Writes a string as a YAML scalar, in the style of the scalar that it replaces. Pure. */

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

/**
 * Returns the source of a scalar with a new text, such as Helm values, that differs from the old one within lines. Null if
 * another part of the source would change too.
 */
export function editedText(
  source: string,
  { type, value: old }: { readonly type?: string | undefined; readonly value: unknown },
  value: string,
): string | null {
  if (typeof old !== 'string') return null
  if (type === 'BLOCK_LITERAL') return editedLines(source, old, value)
  const isSame = scalarText(old, type, source) === source
  return isSame && type !== 'PLAIN' ? scalarText(value, type, source) : null
}

/** The lines of a block scalar follow its header, each with the same indentation. */
function editedLines(source: string, old: string, value: string): string | null {
  const [header = '', ...lines] = source.split('\n')
  const [before, after] = [old.split('\n'), value.split('\n')]
  if (before.length !== after.length) return null
  for (const [index, line] of after.entries()) {
    const from = before[index] ?? ''
    if (line === from) continue
    const written = lines[index] ?? ''
    const ending = written.endsWith('\r') ? '\r' : ''
    const body = written.slice(0, written.length - ending.length)
    const indent = body.slice(0, body.length - from.length)
    if (indent + from !== body || indent.trim() !== '') return null
    lines[index] = indent + line + ending
  }
  return [header, ...lines].join('\n')
}
