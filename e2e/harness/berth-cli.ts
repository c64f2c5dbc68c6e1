/** A `berth` command line as a process of its own. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CommandResult, run } from './command.ts'

const main = join(fileURLToPath(new URL('../../', import.meta.url)), 'src/main.ts')

/** Runs it with a kubeconfig; a failure is a result. */
export function runBerth(
  args: readonly string[],
  kubeconfig: string,
  env: Record<string, string> = {},
): Promise<CommandResult> {
  return run(process.execPath, [main, ...args], { env: { KUBECONFIG: kubeconfig, ...env } })
}
