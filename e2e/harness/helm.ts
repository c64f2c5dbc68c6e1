/** Helm on the running cluster. */
import { join } from 'node:path'
import { currentCluster } from './cluster.ts'
import { runOk } from './command.ts'
import { buildHelm } from './go-programs.ts'

/** Runs helm and returns its output; throws with its error output if it fails. Keeps its files out of the home directory. */
export async function helmOk(args: readonly string[]): Promise<string> {
  const { kubeconfig, runDir } = currentCluster()
  const env = {
    KUBECONFIG: kubeconfig,
    HELM_CACHE_HOME: join(runDir, 'helm/cache'),
    HELM_CONFIG_HOME: join(runDir, 'helm/config'),
    HELM_DATA_HOME: join(runDir, 'helm/data'),
  }
  return runOk(await buildHelm(), args, { env })
}
