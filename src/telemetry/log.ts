/** The log: JSON lines on standard error. Standard output is for the data that a command prints. */
import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger } from 'pino'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Members that may have a credential, in any object that is logged. */
const secretKeys = [
  'password',
  'auth',
  'authorization',
  'token',
  'identitytoken',
  'data',
  'stringData',
]

export interface Logs {
  /** The log for everything; it redacts what looks like a credential. */
  readonly log: Logger
  /**
   * The log for admissions, of which there may be thousands a second. Without redaction: its lines consist of names in the pod
   * and in the config, and have no member to redact.
   */
  readonly admissions: Logger
}

/** Lines are written together once they have this many bytes, and at least every `flushMs`: a write is a system call. */
const minLength = 4_096
const flushMs = 100

/** When the reader of the log is too slow, lines are dropped above this many bytes: memory stays bounded, and reviews do not wait. */
const maxLength = 16 * 1024 * 1024

/** Creates both logs on one destination. A stream with a file descriptor is buffered; pino flushes it when the process exits. */
export function createLogs(
  level: LogLevel,
  stream: DestinationStream & { readonly fd?: number },
): Logs {
  const { fd } = stream
  const destination =
    fd === undefined
      ? stream
      : pino.destination({ dest: fd, sync: false, minLength, maxLength, periodicFlush: flushMs })
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  const paths = secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`])
  return {
    log: pino({ ...options, redact: { paths, censor: '[redacted]' } }, destination),
    admissions: pino(options, destination),
  }
}
