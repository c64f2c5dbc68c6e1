/** Faults of what Berth uses: the mirror, the network and the logs. */
import { currentCluster } from '../cluster.ts'
import { network } from '../local-cluster/files.ts'
import { waitFor } from '../wait.ts'
import type { Fault } from './fault.ts'
import type { GateMode } from './fault-gate.ts'
import { containerdRecord } from './log-disk.ts'
import { type Destination, losePackets } from './network.ts'
import type { Site } from './site.ts'

/** Waits until Berth has noticed that the mirror does not serve an image. */
async function podFromUpstream({ ledger }: Site): Promise<void> {
  await waitFor('a pod from upstream', () =>
    ledger.last(1).some((pod) => pod?.image.startsWith('docker.io/')),
  )
}

/** The mirror answers in another way than it should. */
function gateFault(name: string, mode: GateMode): Fault {
  return {
    name,
    disturbs: ['mirror'],
    begin(site) {
      site.gate.set(mode)
      return Promise.resolve({
        target: 'mirror',
        ...(mode !== 'slow' && { inEffect: () => podFromUpstream(site) }),
        end: () => Promise.resolve(site.gate.set('pass')),
      })
    },
  }
}

/** Packets between Berth's pods and another program are lost. TCP repeats them, so that a share of them is a slow link. */
function lossFault(name: string, to: (site: Site) => Destination, share: number): Fault {
  return {
    name,
    disturbs: ['network'],
    async begin(site) {
      const end = await losePackets(site.api, to(site), share)
      const isVisible = to === mirror && share === 1
      const inEffect = isVisible && { inEffect: () => podFromUpstream(site) }
      return { target: 'every pod of Berth', end, ...inEffect }
    },
  }
}

const mirror = ({ gate }: Site) => ({ address: currentCluster().podAddress, port: gate.port })
const apiServer = () => ({ address: network.apiServiceAddress })

/** A fifth of the packets in each direction: most connections survive, after seconds. */
const slow = 0.2

export const outsideFaults: readonly Fault[] = [
  {
    name: 'mirror killed',
    disturbs: ['mirror'],
    async begin(site) {
      await site.mirror.stop()
      const inEffect = () => podFromUpstream(site)
      return { target: 'mirror', inEffect, end: () => site.mirror.start() }
    },
  },
  gateFault('mirror hangs', 'hang'),
  gateFault('mirror is slow', 'slow'),
  gateFault('mirror resets connections', 'reset'),
  gateFault('mirror answers 503', 503),
  gateFault('mirror answers 429', 429),
  lossFault('packets to the mirror dropped', mirror, 1),
  lossFault('slow link to the mirror', mirror, slow),
  lossFault('packets to the API server dropped', apiServer, 1),
  lossFault('slow link to the API server', apiServer, slow),
  {
    name: 'disk of the logs full',
    disturbs: ['logs'],
    async begin(site) {
      await site.logDisk.fill()
      return { target: 'every container', end: () => site.logDisk.empty() }
    },
  },
  {
    name: 'logs not read',
    // The kubelet can neither start a container nor update a volume while containerd does not answer.
    disturbs: ['logs', 'config', 'webhook', 'controller'],
    begin() {
      const { pid } = containerdRecord()
      process.kill(pid, 'SIGSTOP')
      return Promise.resolve({
        target: 'containerd',
        end: () => Promise.resolve(void process.kill(pid, 'SIGCONT')),
      })
    },
  },
]
