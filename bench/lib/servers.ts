/** Starts the servers of a run: Berth, and the bare servers that it is compared with. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { freePorts } from '../../e2e/harness/ports.ts'
import { buildBerth, serveProgram, sourceMain, writeConfig } from './berth.ts'
import { goVersion } from './machine.ts'
import type { Program } from './process.ts'
import { cacheDirectory, repository, type Workspace } from './workspace.ts'

export interface Server {
  readonly name: string
  readonly program: Program
  readonly port: number
  /** The path of the webhook; `/mutate` when left out. */
  readonly path?: string
  /** The number of images that the response rewrites; one for the bare servers. */
  readonly rewrites: 'all' | 'one' | 'none'
  /** The host of the rewritten images; that of the benchmark's table when left out. */
  readonly mirror?: string
}

/** The number of images of a review that a server must rewrite. */
export function rewrittenImages({ rewrites }: Server, images: number): number {
  return { all: images, one: 1, none: 0 }[rewrites]
}

const berthPorts = 2

/** The built Berth with a warm cache; it probes the registry again after 30 s. */
export async function berthServer(
  workspace: Workspace,
  registryUrl: string,
  nodeArgs: readonly string[] = [],
): Promise<Server> {
  return berthFrom('Berth', buildBerth(workspace), { workspace, registryUrl, nodeArgs })
}

/** Berth built from another checkout, to compare with. */
export async function baselineServer(
  workspace: Workspace,
  registryUrl: string,
  checkout: string,
): Promise<Server> {
  const main = buildBerth(workspace, checkout)
  return berthFrom('baseline', main, { workspace, registryUrl, nodeArgs: [] })
}

/** Berth from TypeScript, as a checkout starts it. */
export async function sourceServer(workspace: Workspace, registryUrl: string): Promise<Server> {
  return berthFrom('Berth from source', sourceMain, { workspace, registryUrl, nodeArgs: [] })
}

interface BerthOptions {
  readonly workspace: Workspace
  readonly registryUrl: string
  readonly nodeArgs: readonly string[]
}

async function berthFrom(name: string, main: string, options: BerthOptions): Promise<Server> {
  const { workspace, registryUrl, nodeArgs } = options
  const [port = 0, metricsPort = 0] = await freePorts(berthPorts)
  const configFile = writeConfig(workspace, registryUrl)
  const program = serveProgram(workspace, { main, configFile, port, metricsPort, nodeArgs })
  return { name, program, port, rewrites: 'all' }
}

/** A bare Node.js server, by the name of its file. */
export async function nodeServer(
  name: string,
  file: string,
  { cert, key }: Workspace,
): Promise<Server> {
  const [port = 0] = await freePorts(1)
  return {
    name,
    port,
    rewrites: 'one',
    program: { command: process.execPath, args: [await buildServer(file), `${port}`, cert, key] },
  }
}

/** Builds a bare server into JavaScript, as Berth is: Node.js needs 18 MB more to run TypeScript. Packages stay separate. */
async function buildServer(file: string): Promise<string> {
  const bundle = await rolldown({
    input: join(repository, 'bench', 'servers', file),
    external: (id) => !id.startsWith('.') && !id.startsWith('/'),
    platform: 'node',
  })
  // Below node_modules, from where Node.js finds the packages.
  const output = join(repository, 'node_modules', '.cache', 'berth-bench', `${file}.mjs`)
  await bundle.write({ file: output, format: 'esm' })
  await bundle.close()
  return output
}

/** The bare Go server, built once; null without Go. It uses only the standard library. */
export async function goServer({ cert, key }: Workspace): Promise<Server | null> {
  if (goVersion() === null) return null
  const binary = join(cacheDirectory(), 'bare-go')
  execFileSync('go', ['build', '-o', binary, '.'], {
    cwd: join(repository, 'bench', 'go'),
    env: { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod', CGO_ENABLED: '0' },
  })
  const [port = 0] = await freePorts(1)
  return {
    name: 'bare Go',
    port,
    rewrites: 'one',
    program: { command: binary, args: [`${port}`, cert, key] },
  }
}
