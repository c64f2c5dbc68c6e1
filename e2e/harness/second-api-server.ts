/** A second replica of the API server on the same etcd, as in a production control plane. */
import { readFileSync } from 'node:fs'
import type { Cluster } from './cluster.ts'
import { runOk } from './command.ts'
import { getJson, kubectlOn } from './kubectl.ts'
import { network } from './local-cluster/files.ts'
import {
  exitReason,
  jsonLines,
  killProcess,
  processRecords,
  startProcess,
  stopProcess,
} from './processes.ts'
import { waitFor } from './wait.ts'

export type SecondApiServer = {
  /** The names of the users who have sent requests to this replica. */
  users(): Set<string>
  /** Ends the replica as a crash does. Its address stays in the endpoints of the Service `kubernetes` until its lease ends. */
  kill(): Promise<void>
  stop(): Promise<void>
}

type Endpoints = { subsets?: { addresses?: { ip: string }[] }[] }

/** Returns the addresses behind the Service `kubernetes`. */
export async function apiServerAddresses(): Promise<string[]> {
  const { subsets = [] } = await getJson<Endpoints>('endpoints', 'kubernetes')
  return subsets.flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip))
}

/**
 * Starts another API server with the arguments of the first, on another address of the node and on the same port, and waits
 * until the Service `kubernetes` has both. Only for the local provider.
 */
export async function startSecondApiServer({
  runDir,
  kubectl,
  kubeconfig,
  auditLog,
}: Cluster): Promise<SecondApiServer> {
  const first = processRecords(runDir).find(({ name }) => name === 'kube-apiserver')
  if (first === undefined) throw new Error('the second API server needs the local provider')
  const [command = '', ...firstArgs] = readFileSync(`/proc/${first.pid}/cmdline`, 'utf8')
    .split('\0')
    .slice(0, -1)
  const ownLog = auditLog.replace('.log', '-second.log')
  const args = firstArgs.map((arg) =>
    arg.replace(/address=.*/, `address=${network.secondApiServer}`).replace(auditLog, ownLog),
  )
  const address = [`${network.secondApiServer}/32`, 'dev', network.bridge]
  await runOk('ip', ['address', 'replace', ...address])
  const record = await startProcess(runDir, { name: 'kube-apiserver-second', command, args })
  const port = /--secure-port=(\d+)/.exec(args.join(' '))?.[1]
  const server = `https://${network.secondApiServer}:${port}`
  const wait = { stopReason: exitReason(runDir, record) }
  const ready = async () =>
    (
      await kubectlOn({ runDir, kubectl, kubeconfig }, [
        'get',
        '--raw',
        '/readyz',
        '--server',
        server,
      ])
    ).code === 0
  await waitFor('the second API server', ready, wait)
  await waitFor('both endpoints', async () => (await apiServerAddresses()).length === 2, wait)
  return {
    users: () =>
      new Set(
        (jsonLines(ownLog) as { user: { username: string } }[]).map(({ user }) => user.username),
      ),
    kill: () => killProcess(record),
    stop: async () => {
      await stopProcess(runDir, record)
      await runOk('ip', ['address', 'del', ...address])
    },
  }
}
