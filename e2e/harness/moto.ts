/** moto: STS and ECR as a program on this machine. It checks no trust and no policy; the fake of test/support/aws.ts does. */
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDirectory } from './go-programs.ts'
import { currentCluster } from './cluster.ts'
import { runOk } from './command.ts'
import { freePort } from './ports.ts'
import { exitReason, startProcess, stopProcess } from './processes.ts'
import { waitFor } from './wait.ts'

const version = '5.2.5'

export type Moto = {
  /** `http://127.0.0.1:PORT`, for STS and ECR alike. */
  url: string
  stop(): Promise<void>
}

/** Starts it, and installs it before, once, into a virtual environment of its own. */
export async function startMoto(): Promise<Moto> {
  const { runDir } = currentCluster()
  const directory = await install()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const record = await startProcess(runDir, {
    name: 'moto',
    command: join(directory, 'bin', 'python3'),
    // Its start script names the directory that it was installed to, which has moved since.
    args: ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)],
  })
  await waitFor('moto', async () => (await fetch(`${url}/moto-api/`)).ok, {
    stopReason: exitReason(runDir, record),
  })
  return { url, stop: () => stopProcess(runDir, record) }
}

async function install(): Promise<string> {
  const directory = join(cacheDirectory(), `moto-${version}`)
  if (existsSync(directory)) return directory
  console.log(`e2e: installing moto ${version} into ${directory}, once`)
  const partial = `${directory}.partial`
  rmSync(partial, { recursive: true, force: true })
  await runOk('python3', ['-m', 'venv', partial])
  await runOk(join(partial, 'bin', 'python3'), [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    `moto[server]==${version}`,
  ])
  renameSync(partial, directory)
  return directory
}
