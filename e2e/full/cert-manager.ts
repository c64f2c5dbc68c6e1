/** Runs the controllers of cert-manager and its cainjector as processes on this machine, without its webhook. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { currentCluster } from '../harness/cluster.ts'
import { kubectlOk } from '../harness/kubectl.ts'
import { repository } from '../harness/paths.ts'
import { startProcess, stopProcess } from '../harness/processes.ts'
import { buildProgramOf, type GoModule, moduleSources } from './go-module.ts'

const program = join(repository, 'e2e/full/cert-manager')

/** The version that the program uses. */
export const certManagerModule: GoModule = readModule()

/** Starts cert-manager; returns a function that stops it and deletes its custom resource definitions. */
export async function startCertManager(): Promise<() => Promise<void>> {
  const command = await buildProgramOf(program)
  const { runDir, kubeconfig } = currentCluster()
  const directory = join(await moduleSources(certManagerModule), 'deploy/crds')
  const definitions = readdirSync(directory)
    .filter((file) => file.endsWith('.yaml'))
    .flatMap((file) => ['-f', join(directory, file)])
  // On the server, because some are too large for kubectl's annotation.
  await kubectlOk(['apply', '--server-side', ...definitions])
  await kubectlOk(['wait', '--for=condition=Established', '--timeout=60s', ...definitions])
  const records = await Promise.all(
    ['controller', 'cainjector'].map((component) =>
      startProcess(runDir, {
        name: `cert-manager-${component}`,
        command,
        args: [component, kubeconfig],
      }),
    ),
  )
  return async () => {
    for (const record of records) await stopProcess(runDir, record)
    await kubectlOk(['delete', '--wait=false', ...definitions])
  }
}

function readModule(): GoModule {
  const path = 'github.com/cert-manager/cert-manager'
  const file = join(program, 'go.mod')
  const version = new RegExp(`${path} (v[\\d.]+)$`, 'm').exec(readFileSync(file, 'utf8'))?.[1]
  if (version === undefined) throw new Error(`${file} does not require ${path}`)
  return { path, version }
}
