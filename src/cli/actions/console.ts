/** Runs `berth console`: a local page about a cluster. Changes nothing. */
import { randomBytes } from 'node:crypto'
import { aborted } from '../../async/abort.ts'
import { loadConfig } from '../../config/load.ts'
import { watchConfig } from '../../config/watch.ts'
import { localGuard } from '../../console/server/request-guard.ts'
import { startConsole } from '../../console/server/run-console.ts'
import { loadPageFiles } from '../../console/server/page-files.ts'
import { connect } from '../../kube/connect.ts'
import { findConfigFile } from '../config-file.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, print, printMessage } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import { packageVersion } from '../package-version.ts'

export interface ConsoleCommandOptions extends ConnectionOptions {
  readonly namespace?: string
  readonly allNamespaces?: boolean
  readonly port: number
  readonly probe: boolean
  readonly config?: string
  readonly berthNamespace: string
  readonly secretsDir: string
}

/** Only this machine reaches the server. */
const host = '127.0.0.1'

/** Different problems that are printed. Their texts can contain what a registry or a credential helper says. */
const maxProblems = 100

/** Serves the page until the process is asked to stop; returns 0. */
export async function console(options: ConsoleCommandOptions, io: Io): Promise<number> {
  const configFile = findConfigFile(options.config)
  const config = loadConfig(configFile)
  const cluster = await connect(connectOptions(options, io))
  const printed = new Set<string>()
  const token = randomBytes(24).toString('base64url')
  try {
    const running = await startConsole({
      cluster,
      config,
      configFile,
      namespace:
        options.allNamespaces === true ? undefined : (options.namespace ?? cluster.namespace),
      berthNamespace: options.berthNamespace,
      host,
      port: options.port,
      guardFor: (port) => localGuard(port, token),
      isShared: false,
      probe: options.probe,
      secretsDirectory: options.secretsDir,
      env: io.env,
      version: packageVersion(),
      page: await loadPageFiles(),
      onProblem: (message) => {
        // The engine and the prober read the same files.
        if (printed.has(message) || printed.size >= maxProblems) return
        printed.add(message)
        printMessage(io, message)
        if (printed.size === maxProblems) printMessage(io, 'further problems are not printed')
      },
      onAway: (reason) =>
        printMessage(
          io,
          reason === null
            ? `the API server ${cluster.server} answers again`
            : `the API server cannot be reached: ${reason}; the page says since when, and shows the cluster once it answers`,
        ),
      onBug: (error) =>
        printMessage(io, `a bug in Berth: ${error instanceof Error ? error.stack : String(error)}`),
    })
    const watch = watchConfig(configFile, {
      current: config,
      onConfig: (changed) => void running.use(changed),
      onError: (error) => running.reject(error instanceof Error ? error.message : String(error)),
    })
    print(io.stdout, `http://${host}:${running.port}/#token=${token}`)
    print(io.stderr, 'berth: anyone with this address can see what you can; stop with Ctrl-C')
    await aborted(io.signal)
    watch.stop()
    await running.close()
    return 0
  } finally {
    await cluster.close()
  }
}
