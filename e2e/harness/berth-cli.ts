/** The command line of Berth as a process. */
import { currentCluster } from './cluster.ts'
import { type CommandOptions, type CommandResult, run } from './command.ts'
import { berthMain } from './paths.ts'

export type BerthCliOptions = Pick<CommandOptions, 'input' | 'env'> & {
  /** Default: the administrator's. */
  kubeconfig?: string
}

/** Runs `berth` with these arguments and returns the result, also if it fails. */
export function runBerth(
  args: readonly string[],
  { kubeconfig = currentCluster().kubeconfig, env = {}, ...options }: BerthCliOptions = {},
): Promise<CommandResult> {
  return run(process.execPath, [berthMain, ...args], {
    ...options,
    env: { KUBECONFIG: kubeconfig, ...env },
  })
}
