/** What the readers of runtime configuration share. */

/** A configuration file; `name` is for messages. */
export interface RuntimeFile {
  readonly name: string
  readonly text: string
}

/** A runtime would reject the file with this message. */
export class InvalidFileError extends Error {}

/** Returns the first line of an error's message: parsers add an excerpt of the file on the lines after it. */
export function firstLine(error: unknown): string {
  const [line = ''] = String(error instanceof Error ? error.message : error).split('\n', 1)
  return line
}
