/** The servers of a run, side by side: Berth and the floors that its figures stand next to. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../e2e/harness/ports.ts'
import { buildBerth, serveProgram, sourceMain, writeConfig } from './berth.ts'
import { goVersion } from './machine.ts'
import type { Program } from './process.ts'
import { cacheDirectory, repository, type Workspace } from './workspace.ts'

export interface Server {
  readonly name: string
  readonly program: Program
  readonly port: number
  /** How many images its answer rewrites: the bare servers know one answer. */
  readonly rewrites: 'all' | 'one'
}

const berthPorts = 2

/** Berth in its built form, from cache; asks the registry for what it has not heard within 30 s. */
export async function berthServer(
  workspace: Workspace,
  registryUrl: string,
  nodeArgs: readonly string[] = [],
): Promise<Server> {
  return berthFrom('Berth', buildBerth(workspace), { workspace, registryUrl, nodeArgs })
}

/** Berth as TypeScript, as a checkout starts it. */
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

/** A bare server in Node, by the name of its file. */
export async function nodeServer(
  name: string,
  file: string,
  { cert, key }: Workspace,
): Promise<Server> {
  const [port = 0] = await freePorts(1)
  const script = fileURLToPath(new URL(`../servers/${file}`, import.meta.url))
  return {
    name,
    port,
    rewrites: 'one',
    program: { command: process.execPath, args: [script, `${port}`, cert, key] },
  }
}

/** The bare server in Go, built once; null where there is no Go. Needs no module but the standard library. */
export async function goServer({ cert, key }: Workspace): Promise<Server | null> {
  if (goVersion() === null) return null
  const binary = join(cacheDirectory(), 'go-floor')
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
