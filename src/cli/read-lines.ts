import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'

/** Returns the lines of a stream, without their line breaks; a line break at the end starts no further line. */
export async function readLines(stream: Readable): Promise<string[]> {
  const lines = (await text(stream)).split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines
}
