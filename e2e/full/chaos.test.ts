/**
 * Random faults, also two at the same time, for half an hour: the first half with `failurePolicy: Ignore`, the second with
 * `Fail`. BERTH_CHAOS_MINUTES sets another duration.
 */
import { chaosTests } from '../harness/chaos/chaos-tests.ts'
import { allFaults } from '../harness/chaos/run-steps.ts'
import { randomSteps, type Step } from '../harness/chaos/schedule.ts'

const minutes = Number(process.env['BERTH_CHAOS_MINUTES'] ?? '30')
const halfMs = minutes * 30_000

/** More than half an hour can have, because each step waits for the pods of its faults. */
const count = minutes * 60

/** Yields steps until the time since the first one is over. */
function* untilTimeIsOver(steps: readonly Step[]): Generator<Step> {
  const started = performance.now()
  for (const step of steps) {
    if (performance.now() - started > halfMs) return
    yield step
  }
}

chaosTests({
  steps: (seed) => ({
    ignore: untilTimeIsOver(randomSteps(allFaults, { seed, count })),
    fail: untilTimeIsOver(randomSteps(allFaults, { seed: seed + 1, count })),
  }),
  maxGrowth: 1.2,
  // Nothing else may need the machine during the long run.
  killedMs: 5_000,
  timeoutSeconds: 5,
  timeoutMs: minutes * 60_000 + 900_000,
})
