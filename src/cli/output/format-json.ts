/** Formats data as JSON, without a character that a terminal interprets. Without the YAML library, which takes time to load. */
import { escapeData } from '../../text/escape-terminal.ts'

/** Returns JSON on several lines. */
export function formatJson(value: unknown): string {
  return escapeData(JSON.stringify(value, null, 2))
}

/** Returns JSON on one line. */
export function formatJsonLine(value: unknown): string {
  return escapeData(JSON.stringify(value))
}
