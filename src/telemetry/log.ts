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

/** When the reader of the log is too slow, lines are dropped above this many bytes: memory stays bounded, and reviews do not wait. */
const maxLength = 16 * 1024 * 1024

/**
 * Creates both logs on one destination. A stream with a file descriptor is written asynchronously: lines that are logged during
 * a write are written together by the next one, and pino flushes the rest when the process exits.
 */
export function createLogs(
  level: LogLevel,
  stream: DestinationStream & { readonly fd?: number },
): Logs {
  const { fd } = stream
  const destination =
    fd === undefined ? stream : pino.destination({ dest: fd, sync: false, maxLength })
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
