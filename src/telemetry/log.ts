/** The log: JSON lines on standard error. Standard output is for the data that a command prints. */
import { type DestinationStream, type Logger, pino } from 'pino'
import { escapeData } from '../text/escape-terminal.ts'
import { createLogDestination } from './log-destination.ts'

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

/**
 * A log whose callers write the JSON themselves, so that they can keep parts of it. Without redaction: its lines consist of
 * names in the pod and in the config, and have no member to redact.
 */
export interface LineLog {
  /** Writes a line of level `info`. `members` are JSON, as from `jsonMember`: `"uid":"1","pod":null`. */
  info(members: string, message: string): void
}

export interface Logs {
  /** The log for everything; it redacts what looks like a credential. */
  readonly log: Logger
  /** The log for admissions, of which there may be thousands a second. */
  readonly admissions: LineLog
  /** Returns how many lines were lost because they could not be written. */
  readonly droppedLines: () => number
}

/**
 * Creates both logs on one destination. Lines for a stream with a file descriptor bypass the stream, whose queue has no limit
 * and whose errors end the process.
 */
export function createLogs(
  level: LogLevel,
  stream: DestinationStream & { readonly fd?: number },
): Logs {
  const { fd } = stream
  const file =
    fd === undefined
      ? null
      : createLogDestination(fd, (lines) => log.warn({ lines }, 'log lines dropped'))
  const destination = file ?? stream
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    // `kubectl logs` prints lines as they are.
    hooks: { streamWrite: escapeData },
  }
  const paths = secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`])
  const log = pino({ ...options, redact: { paths, censor: '[redacted]' } }, destination)
  return {
    log,
    admissions: createLineLog(log.isLevelEnabled('info'), destination),
    droppedLines: () => file?.droppedLines() ?? 0,
  }
}

/** Returns one member of a log line as JSON, with the characters escaped that `kubectl logs` would print as they are. */
export function jsonMember(name: string, value: unknown): string {
  return `"${name}":${escapeData(JSON.stringify(value))}`
}

function createLineLog(isEnabled: boolean, destination: DestinationStream): LineLog {
  const time = createTimestamps(() => Date.now())
  if (!isEnabled) return { info: () => undefined }
  return {
    info: (members, message) =>
      destination.write(`{"level":"info","time":"${time()}",${members},"msg":"${message}"}\n`),
  }
}

/** Returns a function that returns the time as `Date.toISOString` does, and formats the date once a second. */
function createTimestamps(now: () => number): () => string {
  let second = NaN
  let prefix = ''
  return () => {
    const milliseconds = now()
    const start = milliseconds - (milliseconds % 1_000)
    if (start !== second) {
      second = start
      prefix = new Date(start).toISOString().slice(0, -'000Z'.length)
    }
    return `${prefix}${String(milliseconds - start).padStart(3, '0')}Z`
  }
}
