import { stringify } from 'yaml'
import { type Io, print } from '../io.ts'

/** Prints a value as JSON or YAML to standard output. */
export function printRecord(record: unknown, format: 'json' | 'yaml', { stdout }: Io): void {
  print(stdout, format === 'json' ? JSON.stringify(record, null, 2) : stringify(record))
}
