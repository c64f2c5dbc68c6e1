/** tinyproxy as a forward proxy that requires a password. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { unpackDebianPackage } from './debian-packages.ts'
import { freePort } from './ports.ts'
import { exitReason, startProcess, stopProcess } from './processes.ts'
import { waitFor } from './wait.ts'

export type Tinyproxy = {
  /** `HOST:PORT`. */
  host: string
  user: string
  password: string
  /** Returns each request so far, in order: `CONNECT registry.example:443`, or `GET http://…`. */
  requests(): Promise<string[]>
  stop(): Promise<void>
}

/** Starts tinyproxy and returns when it listens. Only it resolves the hosts, to the address of the cluster. */
export async function startTinyproxy(
  { runDir, address }: Pick<Cluster, 'runDir' | 'address'>,
  { name, hosts }: { name: string; hosts: readonly string[] },
): Promise<Tinyproxy> {
  const directory = join(runDir, `tinyproxy-${name}`)
  mkdirSync(directory, { recursive: true })
  const [user, password, port] = ['berth', 'ProxyWord', await freePort(address)]
  const [file, log] = [join(directory, 'tinyproxy.conf'), join(directory, 'log')]
  writeFileSync(log, '')
  writeFileSync(
    file,
    `Listen ${address}\nPort ${port}\nTimeout 60\nMaxClients 50\nBasicAuth ${user} ${password}\nLogFile "${log}"\nPidFile "${directory}/pid"\n`,
  )
  const program = join(await unpackTinyproxy(), 'usr/bin/tinyproxy')
  const hostsFile = join(directory, 'hosts')
  writeFileSync(hostsFile, hosts.map((host) => `${address} ${host}\n`).join(''))
  const script = 'mount --bind "$0" /etc/hosts && exec "$@"'
  const args = ['--mount', 'sh', '-c', script, hostsFile, program, '-d', '-c', file]
  const spec = { name: `tinyproxy-${name}`, command: 'unshare', args }
  const record = await startProcess(runDir, spec)
  await waitFor('tinyproxy', () => readFile(log, 'utf8').then((text) => /Accepting/.test(text)), {
    stopReason: exitReason(runDir, record),
  })
  return {
    host: `${address}:${port}`,
    user,
    password,
    requests: async () =>
      [...(await readFile(log, 'utf8')).matchAll(/Request \([^)]*\): (.*) HTTP\/1\.[01]/g)].map(
        ([, request = '']) => request,
      ),
    stop: () => stopProcess(runDir, record),
  }
}

/** Unpacks the Debian package, once, and returns the directory. */
export function unpackTinyproxy(): Promise<string> {
  return unpackDebianPackage('tinyproxy-bin')
}
