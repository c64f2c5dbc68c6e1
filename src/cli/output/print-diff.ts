/** Prints unified diffs. */
import { escapeTerminal } from '../../text/escape-terminal.ts'
import { type Io, printFile } from '../io.ts'
import { createPainter, escapePainted, forcesColour, type Style } from './colour.ts'

/**
 * Prints a unified diff: in colour on a terminal, and byte for byte to a pipe. FORCE_COLOR colours it for a pipe too, for
 * example to `less -R`.
 */
export function printDiff(diff: string, { stdout, env }: Pick<Io, 'stdout' | 'env'>): void {
  const isForced = forcesColour(env)
  if (stdout.isTTY !== true && !isForced) {
    printFile(stdout, diff)
    return
  }
  const paint = isForced ? createPainter({ isTTY: true }, {}) : createPainter(stdout, env)
  const lines = diff.split('\n').map((line) => {
    const text = escapeTerminal(line, '\t')
    const style = styleOf(line)
    return style === null ? text : paint(style, text)
  })
  const text = escapePainted(lines.join('\n'))
  stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

function styleOf(line: string): Style | null {
  if (/^(?:--- |\+\+\+ |={10})/.test(line)) return 'bold'
  if (line.startsWith('@@')) return 'dim'
  if (line.startsWith('+')) return 'green'
  return line.startsWith('-') ? 'red' : null
}
