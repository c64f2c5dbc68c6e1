/** The tests of a schedule of faults. A short one runs in npm run e2e, and a long one in npm run e2e:full. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { currentCluster } from '../cluster.ts'
import { log } from '../log.ts'
import type { StreamCount } from '../pod-stream.ts'
import { findSecrets } from './canaries.ts'
import { failOpenCount } from './ledger.ts'
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
}

/** Of the container, in deploy/base/webhook.yaml. */
const memoryLimitBytes = 384 * 1024 * 1024

/** An installation under faults, and what has happened to its stream so far. */
type Run = { site: Site; metrics: MetricsWatch; created: number; rejected: number }

export function chaosTests({ steps, maxGrowth, killedMs, timeoutMs }: ChaosPlan): void {
  const seed = chooseSeed()
  const { ignore, fail } = steps(seed)
  let run: Run

  // The faults need processes of this machine.
  describe.skipIf(currentCluster().provider !== 'local')('an installation under faults', () => {
    beforeAll(async () => {
      log(`BERTH_CHAOS_SEED=${seed} repeats this schedule`)
      const site = await startSite()
      run = { site, metrics: watchMetrics(site.api), created: 0, rejected: 0 }
      await site.stream.waitForPods(10)
      await waitUntilHealthy(site)
    })

    afterAll(async () => {
      await run?.metrics.stop()
      await run?.site.stop()
    })

    const timeout = timeoutMs
    test('rejects no pod with failurePolicy Ignore', { timeout }, async () => {
      expect(await failuresOf(run, 'Ignore', ignore)).toEqual([])
    })

    test(
      'rejects pods with failurePolicy Fail only while a process is killed or frozen',
      { timeout },
      async () => {
        const failures = await failuresOf(run, 'Fail', fail)

        expect(run.site.ledger.unexplained(failures)).toEqual([])
        expect(lateFailures(run, failures, killedMs ?? Infinity)).toEqual([])
      },
    )

    test('leaves no pod unprocessed that the API server or Berth has not counted', async () => {
      const { unprocessed, counted } = await countUnprocessed(run)

      expect(unprocessed).toBeLessThanOrEqual(counted)
      expect(run.site.ledger.problems).toEqual([])
    })

    test('needs no more memory than before', () => {
      const { mostBytes, growths } = readMemory(run)

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

/** Runs steps with a failurePolicy and returns the creations that failed. */
async function failuresOf(
  run: Run,
  policy: 'Ignore' | 'Fail',
  steps: Iterable<Step>,
): Promise<StreamCount['failures']> {
  await setFailurePolicy(policy)
  const found: StreamCount['failures'] = []
  for (const step of steps) {
    const { created, failures } = await runStep(run.site, step)
    run.created += created
    run.rejected += failures.length
    found.push(...failures)
  }
  return found
}

/** Prints how long each stopped process rejected pods; returns those that were killed longer ago than the limit. */
function lateFailures({ site }: Run, failures: StreamCount['failures'], limitMs: number): string[] {
  const delays = site.ledger.delays(failures)
  const lines = delays.map(({ fault, count, lastMs }) => {
    const line = `${fault}: ${count} pods rejected, the last after ${lastMs} ms`
    log(line)
    return { line, isLate: fault === 'webhook killed' && lastMs > limitMs }
  })
  return lines.filter(({ isLate }) => isLate).map(({ line }) => line)
}

async function countUnprocessed({ site, metrics, created, rejected }: Run) {
  const unprocessed = site.ledger.unprocessed()
  const failOpen = (await failOpenCount()) - site.failOpenBefore
  const errors = metrics.processes().reduce((sum, each) => sum + each.errors, 0)
  log(`${created} pods created, ${rejected} rejected, ${unprocessed} unprocessed`)
  log(`the API server counted ${failOpen} failed calls, and Berth ${errors} without a decision`)
  return { unprocessed, counted: failOpen + errors }
}

/** Returns the most memory of any process, and by how much that of the witness grew. */
function readMemory({ site, metrics }: Run) {
  const processes = metrics.processes()
  const mostBytes = Math.max(...processes.flatMap(({ residentBytes }) => residentBytes))
  const growths = processes.filter(({ pod }) => pod === site.witness).map(growth)
  const factor = growths.map((each) => each.toFixed(2)).join(', ')
  log(`memory: at most ${(mostBytes / 1e6).toFixed(0)} MB; grew by the factor ${factor}`)
  return { mostBytes, growths }
}
