// Installs the dependencies if node_modules is missing or older than the lock file. Runs on Node.js 20 without packages.
import { spawnSync } from 'node:child_process'
import { statSync, utimesSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
// npm writes this file at the end of every install.
const marker = `${root}node_modules/.package-lock.json`

/**
 * Installs the packages of the lock file if node_modules is older than it, and exits with npm's code if npm fails. The first
 * time that is `npm ci`. Later it is `npm install`, because `npm ci` first deletes node_modules, which other programs may be
 * using; --no-save leaves the lock file unchanged.
 */
export function ensureInstalled() {
  if (modified(marker) >= modified(`${root}package-lock.json`)) return
  process.stderr.write('berth: installing dependencies (first run)\n')
  const command = modified(`${root}node_modules`) < 0 ? ['ci'] : ['install', '--no-save']
  // npm prints to stderr, because stdout belongs to the command that runs next.
  const npm = spawnSync('npm', [...command, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: cleanEnvironment(),
    // On Windows npm is a script, which only a shell starts.
    shell: process.platform === 'win32',
  })
  if (npm.status !== 0) {
    process.stderr.write(`berth: npm ${command[0]} failed, see its output above\n`)
    process.exit(npm.status ?? 1)
  }
  const now = new Date()
  utimesSync(marker, now, now)
}

/** npm passes its settings to scripts as npm_* variables; a nested npm must not inherit these. */
function cleanEnvironment() {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_(command|lifecycle|package|config_ignore_scripts)/.test(name),
    ),
  )
}

function modified(file) {
  try {
    return statSync(file).mtimeMs
  } catch {
    return -1
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) ensureInstalled()
