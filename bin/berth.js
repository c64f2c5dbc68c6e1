#!/usr/bin/env node
// Starts Berth from a checkout (TypeScript as it stands, never a stale build) or from the package (built JavaScript).
// It must run on any Node from 20 on, because it is what finds the right one.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

const root = new URL('..', import.meta.url)
const source = new URL('src/main.ts', root)
const [major, minor] = process.versions.node.split('.').map(Number)
// 22.18 is the first release that runs TypeScript without a flag.
const stripsTypes = major > 22 || (major === 22 && minor >= 18)

// Compiled code is kept beside the system's temporary files, where that can be written: the next start is faster by it.
module.enableCompileCache?.()

if (!existsSync(source)) {
  await import(new URL('dist/main.js', root).href)
} else {
  const { ensureInstalled } = await import(new URL('tools/setup.mjs', root).href)
  ensureInstalled()
  if (stripsTypes) await import(source.href)
  else runWith(fileURLToPath(new URL('node_modules/node/bin/node', root)))
}

function runWith(node) {
  const child = spawn(node, [fileURLToPath(source), ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 143)
  })
}
