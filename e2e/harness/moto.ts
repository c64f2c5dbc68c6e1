/**
 * moto: a program that serves the APIs of AWS STS and ECR on this machine. It checks neither trust relationships nor
 * policies; the fake of test/support/aws.ts does.
 */
import { join } from 'node:path'
import { buildOnce } from './cached-build.ts'
import { currentCluster } from './cluster.ts'
import { runOk } from './command.ts'
import { cacheDirectory } from './paths.ts'
import { freePort } from './ports.ts'
import { exitReason, startProcess, stopProcess } from './processes.ts'
import { waitFor } from './wait.ts'

const version = '5.2.5'

export type Moto = {
  /** `http://127.0.0.1:PORT`, for both STS and ECR. */
  url: string
  stop(): Promise<void>
}

/** Starts moto and returns when it answers. */
export async function startMoto(): Promise<Moto> {
  const { runDir } = currentCluster()
  const directory = await installMoto()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const record = await startProcess(runDir, {
    name: 'moto',
    command: join(directory, 'bin', 'python3'),
    // Not bin/moto_server: that script contains the directory's name from before buildOnce renamed it.
    args: ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)],
  })
  await waitFor('moto', async () => (await fetch(`${url}/moto-api/`)).ok, {
    stopReason: exitReason(runDir, record),
  })
  return { url, stop: () => stopProcess(runDir, record) }
}

/** Installs moto into a virtual environment, once, and returns the directory. */
export async function installMoto(): Promise<string> {
  const directory = join(cacheDirectory(), `moto-${version}`)
  await buildOnce(directory, `installing moto ${version}`, async (partial) => {
    await runOk('python3', ['-m', 'venv', partial])
    const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    await runOk(join(partial, 'bin', 'python3'), [...install, `moto[server]==${version}`])
  })
  return directory
}
