/** Prints a unified diff: in colour on a terminal, and byte for byte to a pipe. */
import { escapeTerminal } from '../../text/escape-terminal.ts'
import { type Io, print, printFile } from '../io.ts'
import { createPainter, type Style } from './colour.ts'

export function printDiff(diff: string, { stdout, env }: Pick<Io, 'stdout' | 'env'>): void {
  if (stdout.isTTY !== true) {
    printFile(stdout, diff)
    return
  }
  const paint = createPainter(stdout, env)
  const lines = diff.split('\n').map((line) => {
    const text = escapeTerminal(line, '\t')
    const style = styleOf(line)
    return style === null ? text : paint(style, text)
  })
  print(stdout, lines.join('\n'))
}

function styleOf(line: string): Style | null {
  if (/^(?:--- |\+\+\+ |={10})/.test(line)) return 'bold'
  if (line.startsWith('@@')) return 'dim'
  if (line.startsWith('+')) return 'green'
  return line.startsWith('-') ? 'red' : null
}
