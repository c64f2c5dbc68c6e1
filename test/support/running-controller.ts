/** Runs the controller in this process, against a scripted API server. */
import { PassThrough } from 'node:stream'
import { type ControllerOptions, runController } from '../../src/controller/run-controller.ts'
import { createLogs } from '../../src/telemetry/log.ts'
import type { ScriptedApiServer } from './scripted-api-server.ts'

export interface RunningControllerOptions extends Partial<ControllerOptions> {
  readonly server: ScriptedApiServer
  /** Receives the lines of the log. */
  readonly lines: Record<string, unknown>[]
  readonly configFile: string
  readonly signal: AbortSignal
}

/** Runs until the signal aborts. Notices a changed config after 20 ms. */
export function startController({
  server,
  lines,
  ...options
}: RunningControllerOptions): Promise<void> {
  const output = new PassThrough()
  output.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().split('\n').filter(Boolean))
      lines.push(JSON.parse(line) as Record<string, unknown>)
  })
  return runController({
    cluster: {
      api: server.api(),
      namespace: 'default',
      context: 'scripted',
      server: server.url,
      close: () => Promise.resolve(),
    },
    namespace: 'berth',
    lease: 'berth-controller',
    host: '127.0.0.1',
    metricsPort: 0,
    secretsDirectory: '/nowhere',
    env: {},
    logs: createLogs('info', output),
    times: { lease: { leaseMs: 60_000, renewMs: 40_000, retryMs: 10 }, configMs: 20 },
    ...options,
  })
}
