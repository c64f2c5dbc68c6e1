/** Starts and stops the cluster of the tests with the provider that fits this machine. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { publishCluster, runDirectory } from './cluster.ts'
import { succeeds } from './command.ts'
import { ensureDebianPackages, isInstalled } from './debian-packages.ts'
import { startKindCluster, stopKindCluster } from './kind-cluster.ts'
import { startLocalCluster, stopLocalCluster } from './local-cluster.ts'
import { logStep } from './log.ts'
import type { ProcessRecord } from './processes.ts'
import { isRunning, startTimeOf } from './processes.ts'

/** `owned`: the cluster belongs to this process, as in a test run; otherwise it stays when the process ends. */
export type StartOptions = { owned?: boolean }

/**
 * Starts a fresh cluster and replaces one that is there. Throws if another running process owns that one.
 */
export async function startCluster({ owned = false }: StartOptions = {}): Promise<Cluster> {
  const runDir = runDirectory()
  checkOwner(runDir)
  await stopCluster()
  const provider = await chooseProvider()
  await ensureDebianPackages(provider)
  return logStep(`starting a cluster (${provider}) in ${runDir}`, async () => {
    mkdirSync(runDir, { recursive: true, mode: 0o700 })
    writeFileSync(join(runDir, 'provider'), provider)
    if (owned) writeFileSync(join(runDir, 'owner.json'), JSON.stringify(thisProcess()))
    const start = provider === 'kind' ? startKindCluster : startLocalCluster
    const cluster = await start(runDir)
    publishCluster(cluster)
    return cluster
  })
}

/** Stops the cluster in the run directory, also a partly started one. Does nothing if there is none. */
export async function stopCluster(): Promise<void> {
  const runDir = runDirectory()
  if (!existsSync(runDir)) return
  checkOwner(runDir)
  const stop = read(join(runDir, 'provider')) === 'kind' ? stopKindCluster : stopLocalCluster
  await logStep('stopping the cluster', () => stop(runDir))
}

/** Gives up this process's ownership, so that another process can stop the cluster. Returns false if it has none. */
export function releaseOwnership(): boolean {
  const runDir = runDirectory()
  if (readOwner(runDir)?.pid !== process.pid) return false
  rmSync(join(runDir, 'owner.json'))
  return true
}

/** Returns `kind` where a Docker engine answers, and `local` for root on a Linux machine without one. */
export async function chooseProvider(): Promise<Cluster['provider']> {
  const wanted = process.env['BERTH_E2E_PROVIDER']
  if (wanted !== undefined && wanted !== 'kind' && wanted !== 'local') {
    throw new Error(`BERTH_E2E_PROVIDER is ${wanted}; set it to kind or local`)
  }
  const noKind = await whyNotKind()
  if (wanted === 'kind' && noKind !== undefined) throw new Error(`cannot use kind: ${noKind}`)
  if (wanted !== 'local' && noKind === undefined) return 'kind'
  const noLocal = whyNotLocal()
  if (noLocal === undefined) return 'local'
  throw new Error(
    `cannot start a cluster on this machine. kind: ${noKind ?? 'not wanted'}. local: ${noLocal}`,
  )
}

async function whyNotKind(): Promise<string | undefined> {
  if (!isInstalled('kind')) return 'kind is not in PATH'
  if (!isInstalled('kubectl')) return 'kubectl is not in PATH'
  if (!(await succeeds('docker', 'info'))) return '`docker info` reaches no Docker engine'
  return undefined
}

function whyNotLocal(): string | undefined {
  if (process.platform !== 'linux') return 'it needs Linux'
  if (process.getuid?.() !== 0) return 'it needs root'
  return undefined
}

function checkOwner(runDir: string): void {
  const owner = readOwner(runDir)
  if (owner === undefined || owner.pid === process.pid || !isRunning(owner)) return
  throw new Error(`the test run with pid ${owner.pid} uses the cluster in ${runDir}`)
}

function readOwner(runDir: string): ProcessRecord | undefined {
  const text = read(join(runDir, 'owner.json'))
  // An empty file is left by a process that was killed while it wrote.
  return text === undefined || text === '' ? undefined : (JSON.parse(text) as ProcessRecord)
}

function thisProcess(): ProcessRecord {
  return { name: 'owner', pid: process.pid, startTime: startTimeOf(process.pid) ?? '' }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
