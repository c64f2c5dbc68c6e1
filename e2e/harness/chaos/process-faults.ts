/** Faults of Berth's own processes: killed, frozen, and with a wrong clock. */
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { killContainer } from '../local-cluster/containers.ts'
import { kubectlOk } from '../kubectl.ts'
import { namespace } from '../overlay.ts'
import { waitFor } from '../wait.ts'
import {
  type BerthProcess,
  catchesSignal,
  type Component,
  processesOf,
  signalProcess,
} from './berth-process.ts'
import type { Fault, OngoingFault } from './fault.ts'
import type { Site } from './site.ts'
import { clockSignal, clockSteps } from './stepped-clock.ts'

/** Selects a ready replica of the webhook, but never the witness; or the controller. */
async function select(site: Site, component: Component, victim: number): Promise<BerthProcess> {
  const ready = (await processesOf(site.api, component)).filter(
    ({ pod, isReady }) => isReady && pod !== site.witness,
  )
  const selected = ready[victim % ready.length]
  if (selected === undefined) throw new Error(`no ${component} can be disturbed`)
  return selected
}

/** Returns the pod of a process as it is now; undefined if it is gone. */
async function current(
  api: KubeApi,
  component: Component,
  { uid }: BerthProcess,
): Promise<BerthProcess | undefined> {
  return (await processesOf(api, component)).find((each) => each.uid === uid)
}

/** Waits until the cluster knows that a replica does not answer, or runs its successor. */
async function waitUntilNoticed({ api }: Site, berth: BerthProcess): Promise<void> {
  await waitFor(`the cluster to notice that ${berth.pod} does not answer`, async () => {
    const now = await current(api, 'webhook', berth)
    return now === undefined || !now.isReady || now.container !== berth.container
  })
}

/** Waits until another container runs. One that was killed often would wait for minutes; a new pod does not. */
async function waitForSuccessor(
  { api }: Site,
  component: Component,
  berth: BerthProcess,
): Promise<void> {
  await waitFor(`a successor of ${berth.pod}`, async () => {
    const now = await current(api, component, berth)
    if (now?.status?.state.waiting?.reason === 'CrashLoopBackOff')
      await kubectlOk(['delete', 'pod', berth.pod, '-n', namespace, '--ignore-not-found'])
    if (now === undefined || (now.isReady && now.container !== berth.container)) return true
    throw new Error(JSON.stringify(now.status))
  })
}

async function kill(site: Site, component: Component, victim: number): Promise<OngoingFault> {
  const berth = await select(site, component, victim)
  const isWebhook = component === 'webhook'
  const outage = isWebhook ? site.ledger.beginOutage('webhook killed') : null
  await killContainer(berth.container ?? '')
  return {
    target: berth.pod,
    inEffect: async () => {
      if (isWebhook) await waitUntilNoticed(site, berth)
      outage?.close()
    },
    end: () => Promise.resolve(),
    recovered: () => waitForSuccessor(site, component, berth),
  }
}

async function freeze(site: Site, component: Component, victim: number): Promise<OngoingFault> {
  const berth = await select(site, component, victim)
  const isWebhook = component === 'webhook'
  const outage = isWebhook ? site.ledger.beginOutage('webhook frozen') : null
  signalProcess(berth, 'SIGSTOP')
  return {
    target: berth.pod,
    ...(isWebhook && { inEffect: () => waitUntilNoticed(site, berth) }),
    end: () => {
      signalProcess(berth, 'SIGCONT')
      outage?.close()
      return Promise.resolve()
    },
  }
}

/** An hour ahead, an hour behind, and right again. */
async function stepClock(site: Site, victim: number): Promise<OngoingFault> {
  const processes = [
    await select(site, 'webhook', victim),
    await select(site, 'controller', victim),
  ]
  const unprepared = processes.find((each) => !catchesSignal(each, clockSignal))
  if (unprepared !== undefined) throw new Error(`${unprepared.pod} has no clock to step`)
  const step = () => {
    for (const each of processes) signalProcess(each, clockSignal)
  }
  step()
  return {
    target: processes.map(({ pod }) => pod).join(' and '),
    end: async () => {
      for (let left = clockSteps - 1; left > 0; left -= 1) {
        step()
        await site.stream.waitForPods(5)
      }
    },
  }
}

export const processFaults: readonly Fault[] = [
  {
    name: 'webhook killed',
    disturbs: ['webhook'],
    begin: (site, victim) => kill(site, 'webhook', victim),
  },
  {
    name: 'webhook frozen',
    disturbs: ['webhook'],
    begin: (site, victim) => freeze(site, 'webhook', victim),
  },
  {
    name: 'controller killed',
    disturbs: ['controller'],
    begin: (site, victim) => kill(site, 'controller', victim),
  },
  {
    name: 'controller frozen',
    disturbs: ['controller'],
    begin: (site, victim) => freeze(site, 'controller', victim),
  },
  { name: 'clock stepped', disturbs: ['clock', 'webhook', 'controller'], begin: stepClock },
]
