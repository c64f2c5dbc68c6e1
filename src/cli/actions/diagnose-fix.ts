/** Runs `berth diagnose --fix`: shows a safe plan, asks, and carries it out. */
import type { DiagnosedFailure } from '../../diagnose/findings.ts'
import { executeFix } from '../../diagnose/fix/execute.ts'
import { planFix } from '../../diagnose/fix/plan.ts'
import {
  type LeftPod,
  type SecretName,
  shownReport,
  type StepReport,
  stepText,
} from '../../diagnose/fix/steps.ts'
import type { Cluster } from '../../kube/connect.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { confirm } from '../confirm.ts'
import type { Io } from '../io.ts'

export interface FixOptions {
  /** Whether to go on without asking. */
  readonly confirmed: boolean
  readonly dryRun: boolean
  /** A pull secret to copy, whether its owner allows copies or not. */
  readonly secret: SecretName | null
  readonly io: Io
  /** Receives a line for each planned step, each pod that is left, and each step that has ended. */
  readonly onStep: (line: string) => void
}

export interface FixReport {
  readonly steps: readonly StepReport[]
  readonly left: readonly LeftPod[]
}

/** Plans and applies fixes. Throws `usage` if it has to ask and there is no terminal, and KubeError. */
export async function fix(
  cluster: Cluster,
  failures: readonly DiagnosedFailure[],
  { confirmed, dryRun, secret, io, onStep }: FixOptions,
): Promise<FixReport> {
  const show = (line: string) => onStep(escapeLine(line))
  const plan = await planFix(cluster.api, failures, secret)
  const { left } = plan
  for (const { step } of plan.steps) show(`plan  ${stepText(step)}`)
  for (const { namespace, pod, why } of left) show(`left  pod ${namespace}/${pod}: ${why}`)
  const planned = plan.steps.map(({ step }): StepReport => ({
    step,
    outcome: 'planned',
    problem: null,
  }))
  if (planned.length === 0) show('--fix has nothing to do')
  const isWanted =
    planned.length > 0 &&
    !dryRun &&
    (confirmed || (await confirm(`Do this in ${cluster.context} (${cluster.server})?`, io)))
  if (!isWanted) return { steps: planned, left }
  const steps = await executeFix(cluster.api, plan, {
    signal: io.signal,
    onReport: ({ step, outcome, problem }) =>
      show(`${outcome}  ${stepText(step)}${problem === null ? '' : `: ${problem}`}`),
  })
  return { steps, left }
}

/** Whether nothing is left to do, for a person or for another run. */
export function isFixed({ steps, left }: FixReport): boolean {
  return (
    left.length === 0 && steps.every(({ outcome }) => outcome === 'done' || outcome === 'unneeded')
  )
}

/** The contract of `fix` in `-o json`. */
export function fixRecord({ steps, left }: FixReport): object {
  return { steps: steps.map(shownReport), left }
}
