/** Runs `berth controller`. */
import { runController } from '../../controller/run-controller.ts'
import { connect } from '../../kube/connect.ts'
import { createLogs, type LogLevel } from '../../telemetry/log.ts'
import { findConfigFile } from '../config-file.ts'
import { connectOptions } from '../connect-options.ts'
import type { Io } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'

export interface ControllerOptions extends ConnectionOptions {
  readonly config?: string
  readonly namespace?: string
  readonly lease: string
  readonly host: string
  readonly metricsPort: number
  readonly secretsDir: string
  readonly logLevel: LogLevel
}

/** Runs until the process is asked to stop; returns 0. */
export async function controller(options: ControllerOptions, io: Io): Promise<number> {
  const logs = createLogs(options.logLevel, io.stderr)
  const configFile = findConfigFile(options.config)
  const cluster = await connect(connectOptions(options, io))
  await runController({
    cluster,
    configFile,
    namespace: options.namespace ?? cluster.namespace,
    lease: options.lease,
    host: options.host,
    metricsPort: options.metricsPort,
    secretsDirectory: options.secretsDir,
    env: io.env,
    logs,
    signal: io.signal,
  })
  return 0
}
