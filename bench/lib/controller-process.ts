/** Runs the controller as in a pod, with the directory of the service account as the argument. */
import { runController } from '../../src/controller/run-controller.ts'
import { connect } from '../../src/kube/connect.ts'
import { createLogs } from '../../src/telemetry/log.ts'

const [, , directory = '.', console] = process.argv
const configFile = `${directory}/berth.yaml`
void run()

/** The bundle is CommonJS, which has no `await` at the top. */
async function run(): Promise<void> {
  await runController({
    cluster: await connect({ env: process.env, serviceAccountDirectory: directory }),
    configFile,
    namespace: 'home',
    lease: 'berth-controller',
    host: '127.0.0.1',
    metricsPort: 0,
    secretsDirectory: directory,
    env: process.env,
    logs: createLogs('info', process.stderr),
    console:
      console === undefined
        ? null
        : { host: '127.0.0.1', port: 0, url: null, tokenFile: null, probe: true, version: '0.0.0' },
    signal: new AbortController().signal,
  })
}
