/** Starts a real registry on loopback, with its access log in a file. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface DockerRegistry {
  readonly host: string
  readonly url: string
  /** The number of requests, by method and kind: `HEAD manifests`. */
  requests(): ReadonlyMap<string, number>
  stop(): Promise<void>
}

/** Returns why no registry can be started, or null. */
export function registryObstacle(): string | null {
  try {
    execFileSync('docker-registry', ['--version'], { stdio: 'ignore' })
    return null
  } catch {
    return 'there is no docker-registry in PATH'
  }
}

/** Starts a registry on this port, with its content in the directory. */
export async function startDockerRegistry(
  directory: string,
  port: number,
  { canDelete = false }: { readonly canDelete?: boolean } = {},
): Promise<DockerRegistry> {
  mkdirSync(directory, { recursive: true })
  const host = `127.0.0.1:${port}`
  const config = join(directory, 'config.json')
  const log = join(directory, 'log')
  writeFileSync(
    config,
    JSON.stringify({
      version: '0.1',
      log: { level: 'error' },
      storage: {
        filesystem: { rootdirectory: join(directory, 'data') },
        delete: { enabled: canDelete },
      },
      http: { addr: host },
    }),
  )
  const out = openSync(log, 'a')
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', out, out] })
  closeSync(out)
  const url = `http://${host}`
  for (;;) {
    if (child.exitCode !== null) throw new Error(readFileSync(log, 'utf8'))
    const isUp = await fetch(`${url}/v2/`).then(
      (answer) => answer.ok,
      () => false,
    )
    if (isUp) break
    await sleep(20)
  }
  return {
    host,
    url,
    requests: () => countRequests(readFileSync(log, 'utf8')),
    async stop() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

function countRequests(log: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const [, method = '', kind = 'ping'] of log.matchAll(
    /"([A-Z]+) \/v2\/(?:\S*?\/(manifests|blobs|tags|referrers)\/)?/g,
  )) {
    const key = `${method} ${kind}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}
