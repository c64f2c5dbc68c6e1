/** The addresses of the cluster, and files in its run directory. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The addresses of the cluster, in ranges that Docker, podman and kind do not use. */
export const network = {
  bridge: 'berth-e2e',
  nodeAddress: '10.213.0.1',
  /** Of a second API server, which few tests start. */
  secondApiServer: '10.213.0.2',
  podRange: '10.214.0.0/16',
  serviceRange: '10.215.0.0/16',
  apiServiceAddress: '10.215.0.1',
} as const

/** The name of the only node. */
export const nodeName = 'node1'

/** Writes a file in the run directory, readable by its owner only, and returns its path. */
export function writeRunFile(runDir: string, name: string, content: string): string {
  const file = join(runDir, name)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(file, content, { mode: 0o600 })
  return file
}

/** Writes a configuration file as JSON, which programs that read YAML accept. */
export function writeRunJson(runDir: string, name: string, content: unknown): string {
  return writeRunFile(runDir, name, `${JSON.stringify(content, null, 2)}\n`)
}
