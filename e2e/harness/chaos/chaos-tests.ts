/** The tests of a schedule of faults. A short one runs in npm run e2e, and a long one in npm run e2e:full. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { currentCluster } from '../cluster.ts'
import { failOpenCount } from '../fail-open-count.ts'
import { log } from '../log.ts'
import { note } from '../note.ts'
import type { StreamCount } from '../pod-stream.ts'
import { findSecrets } from './canaries.ts'
import { type CpuWatch, watchCpu } from './cpu-wait.ts'
import type { OutageResult } from './ledger.ts'
import { growth, type MetricsWatch, watchMetrics } from './memory.ts'
import { runStep, setFailurePolicy, waitUntilHealthy } from './run-steps.ts'
import { chooseSeed, type Step } from './schedule.ts'
import { type Site, startSite } from './site.ts'

export type ChaosPlan = {
  /** Returns the steps for each failurePolicy. An iterable may end when its time is over. */
  steps: (seed: number) => { ignore: Iterable<Step>; fail: Iterable<Step> }
  /** By which factor the memory of a process may grow in the second half of the run; null if that is too short. */
  maxGrowth: number | null
  /** For how many milliseconds a killed process may reject pods; null: until the cluster has noticed. */
  killedMs: number | null
  timeoutMs: number
  /** The timeout of the webhook. */
  timeoutSeconds: number
}

/** Of the container, in deploy/base/webhook.yaml. */
const memoryLimitBytes = 384 * 1024 * 1024

type Run = { site: Site; metrics: MetricsWatch; cpu: CpuWatch }

/** Defines the tests of a plan, which share one installation. */
export function chaosTests(plan: ChaosPlan): void {
  const { steps, maxGrowth, killedMs, timeoutMs: timeout, timeoutSeconds } = plan
  const seed = chooseSeed()
  const { ignore, fail } = steps(seed)
  let run: Run

  describe.runIf(canHaveFaults())('an installation under faults', () => {
    beforeAll(async () => {
      log(`BERTH_CHAOS_SEED=${seed} repeats this schedule`)
      const site = await startSite(timeoutSeconds)
      run = { site, metrics: watchMetrics(site.api), cpu: watchCpu(site.api, timeoutSeconds) }
      await site.stream.waitForPods(10)
      await waitUntilHealthy(site)
    })

    afterAll(async () => {
      await run?.metrics.stop()
      await run?.cpu.stop()
      await run?.site.stop()
    })

    test('rejects no pod with failurePolicy Ignore', { timeout }, async (context) => {
      const { failures, summary } = await runAll(run, 'Ignore', ignore)
      note(context, `seed ${seed}, ${summary}`)

      expect(failures).toEqual([])
    })

    test(
      'rejects pods with failurePolicy Fail only while a process is killed or frozen',
      { timeout },
      async (context) => {
        const earlier = run.site.ledger.outages([]).length
        const { failures, summary } = await runAll(run, 'Fail', fail)
        const outages = run.site.ledger.outages(failures).slice(earlier)
        const others = run.site.ledger.unexplained(failures)
        const starved = others.filter(run.cpu.isCauseOf)
        const without = starved.length === 0 ? '' : `; without a CPU: ${starved.length} rejected`
        note(context, `seed ${seed}, ${summary}; ${summaryOf(outages)}${without}`)
        const limitMs = killedMs ?? Infinity

        expect(others.filter((failure) => !starved.includes(failure))).toEqual([])
        expect(outages.filter(({ fault, lastMs }) => isKill(fault) && lastMs > limitMs)).toEqual([])
      },
    )

    test('leaves no pod unprocessed that the API server or Berth has not counted', async (context) => {
      const unprocessed = run.site.ledger.unprocessed()
      const failOpen = (await failOpenCount()) - run.site.failOpenBefore
      const errors = run.metrics.processes().reduce((sum, each) => sum + each.errors, 0)
      note(
        context,
        `${unprocessed} unprocessed; the API server counted ${failOpen} failed calls, and Berth ${errors} reviews without a decision`,
      )

      expect(unprocessed).toBeLessThanOrEqual(failOpen + errors)
      expect(run.site.ledger.problems).toEqual([])
    })

    test('needs no more memory than before', (context) => {
      const processes = run.metrics.processes()
      const mostBytes = Math.max(...processes.flatMap(({ residentBytes }) => residentBytes))
      const growths = processes.filter(({ pod }) => pod === run.site.witness).map(growth)
      const factor = growths.map((each) => each.toFixed(2)).join(', ')
      note(context, `at most ${(mostBytes / 1e6).toFixed(0)} MB, growth by the factor ${factor}`)

      expect(growths, 'the process that no fault stops runs until the end').toHaveLength(1)
      expect(mostBytes).toBeLessThan(memoryLimitBytes)
      expect(growths[0]).toBeLessThan(maxGrowth ?? Infinity)
    })

    test('shows no secret in logs, events, metrics, annotations and the audit log', async () => {
      const logs = run.site.logDisk.logs()

      expect(Object.keys(logs).length).toBeGreaterThanOrEqual(4)
      expect(await findSecrets(run.site.canaries, { ...logs, ...run.metrics.texts() })).toEqual([])
    })
  })
}

/** Runs steps with a failurePolicy; returns the creations that failed, and a summary. */
async function runAll(run: Run, policy: 'Ignore' | 'Fail', steps: Iterable<Step>) {
  await setFailurePolicy(policy)
  const failures: StreamCount['failures'] = []
  let [created, faults, longestMs] = [0, 0, 0]
  for (const step of steps) {
    const count = await runStep(run.site, step).catch((error: unknown) => {
      throw new Error(`during: ${step.faults.join(' and ')}`, { cause: error })
    })
    created += count.created
    faults += step.faults.length
    longestMs = Math.max(longestMs, count.longestMs)
    failures.push(...count.failures)
  }
  const pods = `${created} pods created, ${failures.length} rejected`
  return {
    failures,
    summary: `${faults} faults, ${pods}, slowest ${(longestMs / 1_000).toFixed(1)} s`,
  }
}

function isKill(fault: string): boolean {
  return fault === 'webhook killed'
}

/** `3 × webhook killed: 2 rejected, the last after 900 ms`. */
function summaryOf(outages: readonly OutageResult[]): string {
  const names = [...new Set(outages.map(({ fault }) => fault))]
  const parts = names.map((name) => {
    const those = outages.filter(({ fault }) => fault === name)
    const rejected = those.reduce((sum, { count }) => sum + count, 0)
    const last = Math.max(...those.map(({ lastMs }) => lastMs))
    const times = `${those.length} × ${name}: ${rejected} rejected`
    return rejected === 0 ? times : `${times}, the last after ${last} ms`
  })
  return parts.join('; ')
}

function canHaveFaults(): boolean {
  const isLocal = currentCluster().provider === 'local'
  if (!isLocal) log('skipping the chaos tests: their faults need processes of this machine')
  return isLocal
}
