// Checks .github/workflows with actionlint. The first run builds actionlint, which needs Go.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { buildTool } from '../e2e/harness/go-programs.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const actionlint = await buildTool('github.com/rhysd/actionlint/cmd/actionlint', 'v1.7.12')
// Off: linters for scripts, which only some machines have.
const { status } = spawnSync(actionlint, ['-shellcheck=', '-pyflakes='], {
  cwd: root,
  stdio: 'inherit',
})
process.exitCode = status ?? 1
