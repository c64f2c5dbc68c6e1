// Installs the dependencies when node_modules is missing or older than the lock file. No dependency of its own, any Node from 20 on.
import { spawnSync } from 'node:child_process'
import { statSync, utimesSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
// npm writes this file at the end of every install, so its age is the installation's.
const marker = `${root}node_modules/.package-lock.json`

/**
 * Runs npm if what is installed is older than the lock file. Exits with npm's code if npm fails. Not `npm ci`, which
 * refuses a lock file that lacks binaries for platforms whose packages its maker could not see; the versions are the lock
 * file's all the same, and --no-save keeps it as it is.
 */
export function ensureInstalled() {
  if (modified(marker) >= modified(`${root}package-lock.json`)) return
  process.stderr.write('berth: installing dependencies, once\n')
  // npm's own output goes to stderr: stdout belongs to the command that is about to run.
  const npm = spawnSync(
    'npm',
    ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      stdio: ['ignore', 2, 2],
      env: cleanEnvironment(),
    },
  )
  if (npm.status !== 0) {
    process.stderr.write('berth: npm install failed; see above\n')
    process.exit(npm.status ?? 1)
  }
  const now = new Date()
  utimesSync(marker, now, now)
}

/** npm hands its own settings to scripts as npm_* variables; a nested npm must not take them for its own. */
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
