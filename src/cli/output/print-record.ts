/** Prints data as JSON and YAML. The text has no character that a terminal interprets. */
import { Document, isScalar } from 'yaml'
import { escapeData, escapeTerminal } from '../../text/escape-terminal.ts'
import { forEachNode } from '../../yaml/nodes.ts'
import { type Io, print } from '../io.ts'
import { formatJson } from './format-json.ts'

/** Prints a value as JSON or YAML to standard output. */
export function printRecord(record: unknown, format: 'json' | 'yaml', { stdout }: Io): void {
  print(stdout, format === 'json' ? formatJson(record) : formatYaml(record))
}

/** Returns YAML. Only double quotes allow escaped characters. */
export function formatYaml(value: unknown): string {
  const document = new Document(value)
  forEachNode(document, (node) => {
    if (isScalar(node) && typeof node.value === 'string' && isUnsafe(node.value))
      node.type = 'QUOTE_DOUBLE'
  })
  return escapeData(document.toString({ lineWidth: 0, blockQuote: 'literal' }))
}

function isUnsafe(text: string): boolean {
  return escapeTerminal(text, '\n\t') !== text
}
