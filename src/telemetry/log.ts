import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger } from 'pino'

/** Members that may hold a credential wherever an object is logged. */
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
  /** For everything: what looks like a credential is left out. */
  readonly log: Logger
  /**
   * For the lines of admissions alone, of which there may be thousands a second: they are put together from names that
   * stand in the pod and in the config, and hold no member that would have to be left out.
   */
  readonly admissions: Logger
}

/** JSON lines on standard error: standard output belongs to what commands were asked for. */
export function createLogs(level: string, destination: DestinationStream): Logs {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  const paths = secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`])
  return {
    log: pino({ ...options, redact: { paths, censor: '[redacted]' } }, destination),
    admissions: pino(options, gathered(destination)),
  }
}

/** One write for all the lines of a turn of the event loop: to a pipe, each write is a system call that is waited for. */
function gathered(destination: DestinationStream): DestinationStream {
  let pending = ''
  const flush = () => {
    destination.write(pending)
    pending = ''
  }
  return {
    write: (line) => {
      if (pending === '') setImmediate(flush)
      pending += line
    },
  }
}
