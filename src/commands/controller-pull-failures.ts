/** The loop of `berth controller` that tells of pods without an image. Only wires things together. */
import type { Loop } from '../controller/loop.ts'
import { pullFailuresLoop } from '../controller/pull-failures.ts'
import { createJudge } from './cluster-evidence.ts'
import type { ControllerParts } from './controller.ts'

/** None when the config says so. */
export function pullFailureLoops({
  cluster: { api },
  config: { pullFailures, registries: hosts },
  log,
  metrics,
}: ControllerParts): readonly Loop[] {
  const { report, readSecrets } = pullFailures
  if (!report) return []
  const judge = () => createJudge(api, readSecrets)
  return [pullFailuresLoop({ api, createJudge: judge, hosts, metrics: metrics.pullFailures, log })]
}
