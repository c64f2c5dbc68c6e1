import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Addresses of the cluster. Pods, services and the node have ranges that neither Docker, podman nor kind hands out. */
export const network = {
  bridge: 'berth-e2e',
  nodeAddress: '10.213.0.1',
  podRange: '10.214.0.0/16',
  serviceRange: '10.215.0.0/16',
  apiServiceAddress: '10.215.0.1',
} as const

/** The only node's name. */
export const nodeName = 'node1'

/** Writes a file of the run directory, readable by its owner alone, and returns its path. */
export function writeRunFile(runDir: string, name: string, content: string): string {
  const file = join(runDir, name)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(file, content, { mode: 0o600 })
  return file
}

/** Writes a configuration file. The programs that read these take YAML, and JSON is YAML. */
export function writeRunJson(runDir: string, name: string, content: unknown): string {
  return writeRunFile(runDir, name, `${JSON.stringify(content, null, 2)}\n`)
}
