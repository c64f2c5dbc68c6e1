/** Injects faults one step after another, under the stream of pods. */
import { kubectlOk } from '../kubectl.ts'
import { log } from '../log.ts'
import type { StreamCount } from '../pod-stream.ts'
import { waitFor } from '../wait.ts'
import { processesOf } from './berth-process.ts'
import type { Fault } from './fault.ts'
import { outsideFaults } from './outside-faults.ts'
import { processFaults } from './process-faults.ts'
import { rotationFaults } from './rotation-faults.ts'
import type { Step } from './schedule.ts'
import type { Site } from './site.ts'

export const allFaults: readonly Fault[] = [...processFaults, ...outsideFaults, ...rotationFaults]

/** How many pods the stream creates during each fault. */
const podsPerFault = 25

/** How many pods in a row must get images of the mirror before Berth counts as healthy again. */
const podsAfterFault = 10

/** Waits until Berth is as before: every process is ready, and the last pods got images of the mirror. */
export async function waitUntilHealthy(site: Site): Promise<void> {
  await waitFor('every process of Berth to be ready', async () => {
    const webhooks = await processesOf(site.api, 'webhook')
    const controllers = await processesOf(site.api, 'controller')
    return (
      webhooks.length === 3 &&
      controllers.length === 1 &&
      [...webhooks, ...controllers].every(({ isReady }) => isReady)
    )
  })
  await waitFor('pods from the mirror', () =>
    site.ledger.last(podsAfterFault).every((pod) => pod?.image.startsWith('mirror.example/')),
  )
}

/** Runs one step; returns the counts of the stream in this time. Undoes its faults also when it fails. */
export async function runStep(site: Site, { faults, victim }: Step): Promise<StreamCount> {
  const started = performance.now()
  const ongoing = []
  try {
    for (const name of faults) ongoing.push(await faultNamed(name).begin(site, victim))
    for (const { inEffect } of ongoing) await inEffect?.()
    await site.stream.waitForPods(podsPerFault)
  } finally {
    for (const { end } of ongoing) await end()
  }
  const ended = performance.now()
  for (const { recovered } of ongoing) await recovered?.()
  await site.stream.waitForPods(podsAfterFault)
  await waitUntilHealthy(site)
  const count = site.stream.takeCount()
  const seconds = (from: number) => ((performance.now() - from) / 1_000).toFixed(0)
  const targets = ongoing.map(({ target }) => target).join(', ')
  log(
    `${faults.join(' and ')} (${targets}): ${count.created} pods created, ${count.failures.length} rejected, slowest ${count.longestMs.toFixed(0)} ms; ${seconds(started)} s, of which ${seconds(ended)} s to recover`,
  )
  return count
}

/** Sets `failurePolicy` of Berth's webhook. */
export async function setFailurePolicy(policy: 'Ignore' | 'Fail'): Promise<void> {
  const patch = [{ op: 'replace', path: '/webhooks/0/failurePolicy', value: policy }]
  const target = ['patch', 'mutatingwebhookconfiguration', 'berth', '--type=json']
  await kubectlOk([...target, '-p', JSON.stringify(patch)])
}

function faultNamed(name: string): Fault {
  const fault = allFaults.find((each) => each.name === name)
  if (fault === undefined) throw new Error(`there is no fault named ${name}`)
  return fault
}
