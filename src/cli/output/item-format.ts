/** Formats values that a command prints one by one: a line of JSON, or a YAML document. */
import { formatJsonLine } from './format-json.ts'

export type FormatItem = (item: unknown) => string

/** Returns the function for a format. Loads the YAML library only for YAML, because it takes time. */
export async function loadItemFormat(output: string): Promise<FormatItem> {
  if (output !== 'yaml') return formatJsonLine
  const { formatYaml } = await import('./print-record.ts')
  return (item) => `---\n${formatYaml(item)}`
}
