/** Helm, built from the Go module proxy once, and kept beside the cluster's programs. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDirectory, checkGo } from './go-programs.ts'
import { currentCluster } from './cluster.ts'
import { type CommandResult, runOk, run } from './command.ts'

const version = 'v3.19.2'

async function helmProgram(): Promise<string> {
  const directory = join(cacheDirectory(), `helm-${version}-${process.arch}`)
  const program = join(directory, 'helm')
  if (existsSync(program)) return program
  await checkGo()
  console.log(`e2e: building Helm ${version} into ${directory}, once`)
  const env = { GOBIN: directory, GOFLAGS: '-mod=mod' }
  // -s -w: without the tables for debuggers it is half the size.
  const flags = ['-trimpath', '-ldflags=-s -w']
  await runOk('go', ['install', ...flags, `helm.sh/helm/v3/cmd/helm@${version}`], { env })
  return program
}

/** Runs helm on the cluster that is up. Its files stay out of the user's home directory. */
async function helm(args: readonly string[]): Promise<CommandResult> {
  const { kubeconfig, runDir } = currentCluster()
  const env = {
    KUBECONFIG: kubeconfig,
    HELM_CACHE_HOME: join(runDir, 'helm/cache'),
    HELM_CONFIG_HOME: join(runDir, 'helm/config'),
    HELM_DATA_HOME: join(runDir, 'helm/data'),
  }
  return run(await helmProgram(), args, { env })
}

/** Runs helm and returns its output; throws with what it said if it fails. */
export async function helmOk(args: readonly string[]): Promise<string> {
  const { stdout, stderr, code } = await helm(args)
  if (code === 0) return stdout
  throw new Error(`helm ${args.join(' ')}\nended with ${code}: ${stderr || stdout}`)
}
