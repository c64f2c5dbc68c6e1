/** Starts the measured Berth: `berth serve`, built as for the package, with a table of usual length. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Program } from './process.ts'
import { mirrorHost } from './reviews.ts'
import { repository, type Workspace } from './workspace.ts'

/** Builds a checkout of Berth into JavaScript, as in the package and the image. */
export function buildBerth({ directory: workspace }: Workspace, from = repository): string {
  const directory = from === repository ? workspace : join(workspace, 'baseline')
  const main = join(directory, 'bin', 'berth.js')
  if (existsSync(main)) return main
  mkdirSync(join(directory, 'bin'), { recursive: true })
  const build = join(from, 'tools', 'build.ts')
  execFileSync(process.execPath, [build, join(directory, 'dist')], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  symlinkSync(join(from, 'webhook-config'), join(directory, 'webhook-config'))
  for (const name of ['package.json', 'bin/berth.js'])
    copyFileSync(join(from, name), join(directory, name))
  return main
}

/** Berth from TypeScript, as a checkout runs it. */
export const sourceMain: string = join(repository, 'src', 'main.ts')

/** A config like the examples: a prefix for each upstream, pinned tags, a pull policy for the mirror. */
export function berthConfig(registryUrl: string, comment = ''): string {
  const row = (name: string, host: string) =>
    `  - { name: ${name}, images: ['${host}/**'], try: ['${mirrorHost}/{host}/{path}', '${host}/{path}'] }\n`
  return `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: '${mirrorHost}', endpoint: '${registryUrl}', mirror: true }]
fallback:
${row('docker-hub', 'docker.io')}${row('ghcr', 'ghcr.io')}${row('quay', 'quay.io')}pin: { tags: [latest] }
pullPolicy: [{ images: ['${mirrorHost}/**'], set: IfNotPresent }]
${comment === '' ? '' : `# ${comment}\n`}`
}

export interface ServeOptions {
  readonly main: string
  readonly configFile: string
  readonly port: number
  readonly metricsPort: number
  readonly host?: string
  /** More options of Node.js, such as `--cpu-prof`. */
  readonly nodeArgs?: readonly string[]
}

/**
 * Semi-spaces of 4 MiB, as in the image: the garbage of a review is dead when it is answered, so larger ones only use
 * more memory. Node.js sizes the old generation by the limit of the container.
 */
export const startFlags: readonly string[] = ['--max-semi-space-size=4']

/** The command line, with the default log level. */
export function serveProgram(
  { cert, key }: Workspace,
  { main, configFile, port, metricsPort, host = '127.0.0.1', nodeArgs = [] }: ServeOptions,
): Program {
  const serve = ['serve', '--config', configFile, '--host', host, '--port', String(port)]
  const rest = ['--metrics-port', String(metricsPort), '--tls-cert', cert, '--tls-key', key]
  // No drain: no cluster needs time to remove an endpoint.
  const leave = ['--drain-seconds', '0']
  return {
    command: process.execPath,
    args: [...startFlags, ...nodeArgs, main, ...serve, ...rest, ...leave],
  }
}

export function configFileOf({ directory }: Workspace): string {
  return join(directory, 'berth.yaml')
}

export function writeConfig(workspace: Workspace, registryUrl: string): string {
  const file = configFileOf(workspace)
  writeFileSync(file, berthConfig(registryUrl))
  return file
}
