import type { Readable, Writable } from 'node:stream'
import { escapePainted } from './output/colour.ts'
import { escapeTerminal } from '../text/escape-terminal.ts'

/** The parts of the process that a verb may use, so that tests can run one without a process. */
export interface Io {
  /** For data only. */
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  /** For messages to people. */
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stdin: Readable
  readonly env: Readonly<Record<string, string | undefined>>
  /** The paths under which the program was started, for the name in its help. */
  readonly startedAs?: readonly (string | undefined)[]
  /**
   * Aborts when the process is asked to stop; the reason is the signal's name. Reading this property installs the signal
   * handlers, so a verb that reads it has to stop when it aborts.
   */
  readonly signal: AbortSignal
  /** Aborts when the process is asked to stop a second time. */
  readonly forceStop?: AbortSignal
}

type Output = Writable & { readonly isTTY?: boolean }

/**
 * Writes text for people, and a line break unless it ends with one. This is where all such text is escaped for terminals;
 * its line breaks, tabs and colours stay. Text that has to stay on its line is escaped before.
 */
export function print(stream: Output, text: string): void {
  const escaped = stream.isTTY === true ? escapePainted(text) : escapeTerminal(text, '\n\t')
  stream.write(escaped.endsWith('\n') ? escaped : `${escaped}\n`)
}

/** Writes a file, for example a manifest: as it is to a pipe, and escaped to a terminal. */
export function printFile(stream: Output, text: string): void {
  stream.write(stream.isTTY === true ? escapeTerminal(text, '\n\t') : text)
}

/** Writes `berth: MESSAGE` to standard error. */
export function printMessage({ stderr }: Pick<Io, 'stderr'>, message: string): void {
  print(stderr, `berth: ${message}`)
}

/** Returns 128 plus the number of the signal that stopped the process, as shells do; null if none did. */
export function signalExitCode({ signal }: Pick<Io, 'signal'>): number | null {
  if (!signal.aborted) return null
  return signal.reason === 'SIGINT' ? 130 : 143
}
