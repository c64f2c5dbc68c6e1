/** `berth controller`: reads the options and runs the controller. */
import { loadConfig } from '../../config/load.ts'
import { formatProblem } from '../../config/problem.ts'
import { runController } from '../../controller/run-controller.ts'
import { defaultSecretsDirectory } from '../../engine/secrets-directory.ts'
import { connect } from '../../kube/connect.ts'
import { createLogs } from '../../telemetry/log.ts'
import type { Command } from '../io.ts'
import { configFile, oneOf, port, readOptions, text } from '../options.ts'

export const usage =
  'berth controller [--config FILE] [--kubeconfig FILE] [--context NAME] [-n NAMESPACE] [--lease NAME] [--host ADDRESS] [--metrics-port N] [--secrets-dir DIR] [--log-level LEVEL]'

/** Runs until it is asked to stop; exits with 0. */
export const controller: Command = async (args, io) => {
  const values = readOptions(
    args,
    {
      config: { type: 'string' },
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      lease: { type: 'string' },
      host: { type: 'string' },
      'metrics-port': { type: 'string' },
      'secrets-dir': { type: 'string' },
      'log-level': { type: 'string' },
    },
    usage,
  )
  const { log } = createLogs(
    oneOf(values, 'log-level', ['info', 'debug', 'warn', 'error']),
    io.stderr,
  )
  const file = configFile(values)
  const config = loadConfig(file)
  for (const warning of config.warnings) log.warn(formatProblem(file, warning))
  const cluster = await connect({
    kubeconfig: text(values, 'kubeconfig'),
    context: text(values, 'context'),
    env: io.env,
  })
  await runController({
    cluster,
    configFile: file,
    config,
    namespace: text(values, 'namespace') ?? cluster.namespace,
    lease: text(values, 'lease') ?? 'berth-controller',
    host: text(values, 'host') ?? '0.0.0.0',
    metricsPort: port(values, 'metrics-port', 8080),
    secretsDirectory: text(values, 'secrets-dir') ?? defaultSecretsDirectory,
    env: io.env,
    log,
    signal: io.signal,
  })
  return 0
}
