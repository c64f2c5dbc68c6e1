import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { publishCluster, runDirectory } from './cluster.ts'
import { succeeds } from './command.ts'
import { stopKindCluster, startKindCluster } from './kind-cluster.ts'
import { stopLocalCluster, startLocalCluster } from './local-cluster.ts'
import type { ProcessRecord } from './processes.ts'
import { isRunning, startTimeOf } from './processes.ts'
import { ensureDebianPackages, isInstalled } from './debian-packages.ts'

type Provider = Cluster['provider']

/** Whether the cluster belongs to this process (a test run) or is meant to stay when it ends (up.ts). */
export type UpOptions = { owned?: boolean }

/** Brings up a fresh cluster with the provider that fits this machine. There is one at a time, and no run steals another's. */
export async function up({ owned = false }: UpOptions = {}): Promise<Cluster> {
  const runDir = runDirectory()
  refuseOwned(runDir)
  await down()
  const provider = await chooseProvider()
  await ensureDebianPackages(provider)
  const started = Date.now()
  console.log(`e2e: starting a cluster (${provider}) in ${runDir}`)
  mkdirSync(runDir, { recursive: true, mode: 0o700 })
  writeFileSync(join(runDir, 'provider'), provider)
  if (owned) writeFileSync(join(runDir, 'owner.json'), JSON.stringify(thisProcess()))
  const cluster = await (provider === 'kind' ? startKindCluster(runDir) : startLocalCluster(runDir))
  publishCluster(cluster)
  console.log(`e2e: the cluster is up after ${((Date.now() - started) / 1000).toFixed(1)} s`)
  return cluster
}

/** Takes down whatever is in the run directory: a cluster, or what is left of one. Nothing there is no error. */
export async function down(): Promise<void> {
  const runDir = runDirectory()
  if (!existsSync(runDir)) return
  refuseOwned(runDir)
  const started = Date.now()
  await (read(join(runDir, 'provider')) === 'kind'
    ? stopKindCluster(runDir)
    : stopLocalCluster(runDir))
  console.log(`e2e: the cluster is down after ${((Date.now() - started) / 1000).toFixed(1)} s`)
}

/** Gives up this process's claim to the cluster, so that another can take it down. False if it has none. */
export function releaseOwnership(): boolean {
  const runDir = runDirectory()
  if (ownerOf(runDir)?.pid !== process.pid) return false
  rmSync(join(runDir, 'owner.json'))
  return true
}

/** `kind` where Docker answers, since it needs nothing else of the machine; `local` for root on a Linux without Docker. */
async function chooseProvider(): Promise<Provider> {
  const wanted = process.env['BERTH_E2E_PROVIDER']
  if (wanted !== undefined && wanted !== 'kind' && wanted !== 'local') {
    throw new Error(`BERTH_E2E_PROVIDER is ${wanted}; it can be kind or local`)
  }
  const kind = await kindObstacle()
  if (wanted === 'kind' && kind !== undefined) throw new Error(`kind cannot be used: ${kind}`)
  if (wanted !== 'local' && kind === undefined) return 'kind'
  const local = localObstacle()
  if (local === undefined) return 'local'
  throw new Error(`no cluster can be started here. kind: ${kind ?? 'not wanted'}. local: ${local}`)
}

async function kindObstacle(): Promise<string | undefined> {
  if (!isInstalled('kind')) return 'there is no kind in PATH'
  if (!isInstalled('kubectl')) return 'there is no kubectl in PATH'
  if (!(await succeeds('docker', 'info'))) return 'no Docker engine answers `docker info`'
  return undefined
}

function localObstacle(): string | undefined {
  if (process.platform !== 'linux') return 'it needs Linux'
  if (process.getuid?.() !== 0) return 'it needs root'
  return undefined
}

function refuseOwned(runDir: string): void {
  const owner = ownerOf(runDir)
  if (owner === undefined || owner.pid === process.pid || !isRunning(owner)) return
  throw new Error(`another test run (pid ${owner.pid}) has the cluster in ${runDir}`)
}

function ownerOf(runDir: string): ProcessRecord | undefined {
  const text = read(join(runDir, 'owner.json'))
  // Empty: that process was killed while it wrote the file.
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
