#!/usr/bin/env node
// Starts Berth: in a checkout from the TypeScript sources, in the installed package from the built JavaScript.
// This file itself must run on Node.js 20, so that a checkout can switch to the Node.js that it brings along.
import module from 'node:module'
import { fileURLToPath } from 'node:url'

// An import would also load the streams of node:fs.
const load = module.createRequire(import.meta.url)
const { existsSync } = load('node:fs')
const root = new URL('..', import.meta.url)
const source = new URL('src/main.ts', root)
const [major, minor] = process.versions.node.split('.').map(Number)
// undici, the HTTP client, needs 22.19. TypeScript runs without a flag since 22.18.
const isSupported = major > 22 || (major === 22 && minor >= 19)

// Caches compiled code in the system's temporary directory, if it is writable, which makes the next start faster.
module.enableCompileCache?.()

if (existsSync(source)) {
  const { ensureInstalled } = await import(new URL('tools/setup.mjs', root).href)
  ensureInstalled()
  if (isSupported) await import(source.href)
  else runWith(fileURLToPath(new URL('node_modules/node/bin/node', root)))
} else if (isSupported) {
  load('../dist/main.cjs')
} else {
  process.stderr.write(`berth: needs Node.js 22.19 or later, and this is ${process.version}\n`)
  process.exitCode = 2
}

function runWith(node) {
  const { spawn } = load('node:child_process')
  const args = [fileURLToPath(source), ...process.argv.slice(2)]
  // Help shows the name of this script.
  const child = spawn(node, args, { stdio: 'inherit', argv0: process.argv[1] })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 143)
  })
}
