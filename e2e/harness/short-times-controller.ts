/**
 * Runs the controller as `berth controller` does, with the same options and shorter times: a lease that expires after three
 * seconds, one second in place of thirty for a source that is missing, and retries after two seconds. A program for `startController`.
 */
import { parseArgs } from 'node:util'
import { runController } from '../../src/controller/run-controller.ts'
import { defaultSecretsDirectory } from '../../src/engine/secrets-directory.ts'
import { connect } from '../../src/kube/connect.ts'
import { createLogs } from '../../src/telemetry/log.ts'

const { values } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: {
    config: { type: 'string' },
    kubeconfig: { type: 'string' },
    namespace: { type: 'string' },
    lease: { type: 'string' },
    host: { type: 'string' },
    'metrics-port': { type: 'string' },
    'log-level': { type: 'string' },
  },
})
const { config: configFile = '', kubeconfig, namespace = '', lease = '', host = '' } = values
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())

await runController({
  cluster: await connect({ kubeconfig, env: process.env }),
  configFile,
  namespace,
  lease,
  host,
  metricsPort: Number(values['metrics-port']),
  secretsDirectory: defaultSecretsDirectory,
  env: process.env,
  logs: createLogs('info', process.stderr),
  times: {
    lease: { leaseMs: 3_000, renewMs: 2_000, retryMs: 200 },
    pullSecrets: {
      sourceGraceMs: 1_000,
      namespacePollMs: 1_000,
      retry: { firstMs: 200, maxMs: 2_000 },
    },
  },
  signal: stop.signal,
})
