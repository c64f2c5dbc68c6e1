/** Rules in the network namespaces of Berth's pods, which end with the pods: this machine's own rules stay as they are. */
import { closeSync, openSync } from 'node:fs'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { runOk } from '../command.ts'
import { pidOf, processesOf } from './berth-process.ts'

/** Where packets are lost: an address, and a port unless all are meant. */
export type Destination = { address: string; port?: number }

/** Drops a share of the packets between Berth's pods and another program; returns a function that ends that. */
export async function losePackets(
  api: KubeApi,
  to: Destination,
  share: number,
): Promise<() => Promise<void>> {
  const pods = [...(await processesOf(api, 'webhook')), ...(await processesOf(api, 'controller'))]
  // An open file keeps the namespace of a pod whose process exits meanwhile.
  const namespaces = pods
    .map(pidOf)
    .filter((pid) => pid !== undefined)
    .map((pid) => openSync(`/proc/${pid}/ns/net`, 'r'))
  for (const each of namespaces) await changeRules(each, '-I', to, share)
  return async () => {
    for (const each of namespaces) {
      await changeRules(each, '-D', to, share)
      closeSync(each)
    }
  }
}

async function changeRules(
  networkNamespace: number,
  operation: '-I' | '-D',
  { address, port }: Destination,
  share: number,
): Promise<void> {
  const enter = [`--net=/proc/${process.pid}/fd/${networkNamespace}`, '--', 'iptables', '-w']
  const some =
    share === 1 ? [] : ['-m', 'statistic', '--mode', 'random', '--probability', `${share}`]
  const rule = (chain: string, side: 'd' | 's') => {
    const ports = port === undefined ? [] : ['-p', 'tcp', `--${side}port`, `${port}`]
    return [...enter, operation, chain, `-${side}`, address, ...ports, ...some, '-j', 'DROP']
  }
  await runOk('nsenter', rule('OUTPUT', 'd'))
  await runOk('nsenter', rule('INPUT', 's'))
}
