import type { Readable, Writable } from 'node:stream'
import { escapeTerminal } from '../text/escape-terminal.ts'

/** The parts of the process that a verb may use, so that tests can run one without a process. */
export interface Io {
  /** For data only. */
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  /** For messages to people. */
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stdin: Readable
  readonly env: Readonly<Record<string, string | undefined>>
  /**
   * Aborts when the process is asked to stop; the reason is the signal's name. Reading this property installs the signal
   * handlers, so a verb that reads it has to stop when it aborts.
   */
  readonly signal: AbortSignal
  /** Aborts when the process is asked to stop a second time. */
  readonly forceStop?: AbortSignal
}

/** Writes `text` and a line break, unless it ends with one. */
export function print(stream: Writable, text: string): void {
  stream.write(text.endsWith('\n') ? text : `${text}\n`)
}

/** Writes `berth: MESSAGE` to standard error, escaped for terminals. */
export function printMessage({ stderr }: Pick<Io, 'stderr'>, message: string): void {
  print(stderr, `berth: ${escapeTerminal(message, '\n\t')}`)
}
