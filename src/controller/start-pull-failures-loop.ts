/** The loop of `berth controller` that tells of pods without an image. Only wires things together. */
import type { Loop } from './runtime/loops.ts'
import { pullFailuresLoop } from './pull-failures-loop.ts'
import { createJudge } from '../diagnose/evidence/cluster-evidence.ts'
import type { ControllerParts } from '../cli/commands/controller.ts'

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
