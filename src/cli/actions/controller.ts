/** Runs `berth controller`. */
import { isIPv4 } from 'node:net'
import type { ConsoleSettings } from '../../controller/controller-console.ts'
import { runController } from '../../controller/run-controller.ts'
import { BerthError } from '../../errors.ts'
import { connect } from '../../kube/connect.ts'
import { createLogs, type LogLevel } from '../../telemetry/log.ts'
import { findConfigFile } from '../config-file.ts'
import { connectOptions } from '../connect-options.ts'
import type { Io } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import { packageVersion } from '../package-version.ts'

export interface ControllerOptions extends ConnectionOptions {
  readonly config?: string
  readonly namespace?: string
  readonly lease: string
  readonly host: string
  readonly metricsPort: number
  readonly secretsDir: string
  readonly logLevel: LogLevel
  readonly console?: boolean
  readonly consoleHost: string
  readonly consolePort: number
  readonly consoleUrl?: string
  readonly consoleTokenFile?: string
  readonly consoleProbe: boolean
}

/** Runs until the process is asked to stop; returns 0. */
export async function controller(options: ControllerOptions, io: Io): Promise<number> {
  const logs = createLogs(options.logLevel, io.stderr)
  const console = options.console === true ? consoleSettings(options) : null
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
    console,
    signal: io.signal,
  })
  return 0
}

/** Throws `usage` for an address that others reach without a token. */
function consoleSettings(options: ControllerOptions): ConsoleSettings {
  const { consoleHost: host, consolePort: port, consoleTokenFile, consoleProbe: probe } = options
  const url = options.consoleUrl === undefined ? null : consoleUrl(options.consoleUrl)
  const tokenFile = consoleTokenFile ?? null
  if (!isLoopback(host) && (url === null || tokenFile === null))
    throw new BerthError(
      'usage',
      `--console-host ${host} needs --console-url and --console-token-file, because other pods reach this address; or leave it out, and use kubectl port-forward`,
    )
  return { host, port, url, tokenFile, probe, version: packageVersion() }
}

/** An address of this machine or pod. A name could mean another one. */
function isLoopback(host: string): boolean {
  return host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

/** Throws `usage` unless the text is the origin of a page. */
function consoleUrl(text: string): URL {
  const url = URL.parse(text)
  const isOrigin = url !== null && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`
  if (isOrigin) return url
  throw new BerthError(
    'usage',
    `--console-url ${text} is not the address of a host; write for example https://berth.example.com, without a path`,
  )
}
