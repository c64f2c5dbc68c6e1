// Checks .github/workflows with actionlint. The first run builds actionlint, which needs Go.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { buildPublishedProgram } from '../e2e/harness/go-programs.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const actionlint = await buildPublishedProgram(
  'github.com/rhysd/actionlint/cmd/actionlint',
  'v1.7.12',
)
// Without linters for scripts, which are not on every machine.
const { status } = spawnSync(actionlint, ['-shellcheck=', '-pyflakes='], {
  cwd: root,
  stdio: 'inherit',
})
process.exitCode = status ?? 1
