import type { Readable, Writable } from 'node:stream'

/** What a command may touch of the process, so that it can be run without one. */
export interface Io {
  /** Data, and nothing else. */
  readonly stdout: Writable & { readonly isTTY?: boolean }
  /** Everything that people are told beside the data. */
  readonly stderr: Writable & { readonly isTTY?: boolean }
  readonly stdin: Readable
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborts when the process is asked to stop; the reason is the signal's name. Who reads it has to stop by itself. */
  readonly signal: AbortSignal
  /** Aborts when it is asked a second time. */
  readonly forceStop?: AbortSignal
}

/** A verb: takes the arguments behind its name, gives the exit code. Throws BerthError. */
export type Command = (args: readonly string[], io: Io) => Promise<number>

export function print(stream: Writable, text: string): void {
  stream.write(text.endsWith('\n') ? text : `${text}\n`)
}
