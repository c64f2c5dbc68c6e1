/** Runs `berth console`: a local page about a cluster. Changes nothing. */
import { aborted } from '../../async/abort.ts'
import { loadConfig } from '../../config/load.ts'
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

/** Serves the page until the process is asked to stop; returns 0. */
export async function console(options: ConsoleCommandOptions, io: Io): Promise<number> {
  const configFile = findConfigFile(options.config)
  const config = loadConfig(configFile)
  const cluster = await connect(connectOptions(options, io))
  const printed = new Set<string>()
  try {
    const running = await startConsole({
      cluster,
      config,
      configFile,
      namespace:
        options.allNamespaces === true ? undefined : (options.namespace ?? cluster.namespace),
      berthNamespace: options.berthNamespace,
      port: options.port,
      probe: options.probe,
      secretsDirectory: options.secretsDir,
      env: io.env,
      version: packageVersion(),
      page: await loadPageFiles(),
      onProblem: (message) => {
        // The engine and the prober read the same files.
        if (!printed.has(message)) printMessage(io, message)
        printed.add(message)
      },
      onBug: (error) =>
        printMessage(io, `a bug in Berth: ${error instanceof Error ? error.stack : String(error)}`),
    })
    print(io.stdout, running.url)
    print(io.stderr, 'berth: anyone with this address can see what you can; stop with Ctrl-C')
    await aborted(io.signal)
    await running.close()
    return 0
  } finally {
    await cluster.close()
  }
}
