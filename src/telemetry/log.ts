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

/** JSON lines on standard error: standard output belongs to what commands were asked for. */
export function createLogger(level: string, destination: DestinationStream): Logger {
  const paths = secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`])
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths, censor: '[redacted]' },
    },
    destination,
  )
}
