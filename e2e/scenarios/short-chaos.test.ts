/**
 * Each fault once, half of them with `failurePolicy: Ignore` and half with `Fail`. The order is new in each run. Killed and
 * frozen replicas happen with both.
 */
import { chaosTests } from '../harness/chaos/chaos-tests.ts'
import { allFaults } from '../harness/chaos/run-steps.ts'
import { eachFaultOnce } from '../harness/chaos/schedule.ts'

chaosTests({
  steps: (seed) => {
    const steps = eachFaultOnce(
      allFaults.map(({ name }) => name),
      seed,
    )
    const half = Math.ceil(steps.length / 2)
    const isOutage = ({ faults }: { faults: readonly string[] }) =>
      faults.some((name) => name.startsWith('webhook'))
    const ignore = steps.slice(0, half)
    const fail = steps.slice(half)
    // Processes of the webhook stop with both.
    return {
      ignore: [...ignore, ...fail.filter(isOutage)],
      fail: [...fail, ...ignore.filter(isOutage)],
    }
  },
  maxGrowth: null,
  killedMs: null,
  // The longest that Kubernetes allows: other scenarios run at the same time, and may need both CPUs for seconds.
  timeoutSeconds: 30,
  timeoutMs: 900_000,
})
