/** `berth diagnose --fix`: shows what would help and is safe, asks, and does it. */
import type { DiagnosedFailure } from '../../diagnose/findings.ts'
import { BerthError } from '../../errors.ts'
import type { Cluster } from '../../kube/connect.ts'
import { type Parsed, text } from '../options.ts'
import { confirm } from '../confirm.ts'
import { executeFix } from '../../diagnose/fix/execute.ts'
import { planFix } from '../../diagnose/fix/plan.ts'
import {
  type LeftPod,
  type SecretName,
  shownReport,
  type StepReport,
  stepText,
} from '../../diagnose/fix/steps.ts'
import type { Io } from '../io.ts'

export const fixOptions = {
  fix: { type: 'boolean' },
  yes: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  secret: { type: 'string' },
} as const

export interface FixWish {
  readonly yes: boolean
  readonly dryRun: boolean
  readonly secret: SecretName | null
}

export interface FixReport {
  readonly steps: readonly StepReport[]
  readonly left: readonly LeftPod[]
}

/** Null without `--fix`. Throws `usage`. */
export function readFixWish(values: Parsed['values']): FixWish | null {
  const given = ['yes', 'dry-run', 'secret'].find((name) => values[name] !== undefined)
  if (values['fix'] !== true) {
    if (given === undefined) return null
    throw new BerthError('usage', `--${given} says how --fix works; add --fix`)
  }
  const named = text(values, 'secret')
  const [namespace = '', name = '', ...rest] = (named ?? '').split('/')
  if (named !== undefined && (namespace === '' || name === '' || rest.length > 0))
    throw new BerthError('usage', `--secret ${named} is no secret; write NAMESPACE/NAME`)
  return {
    yes: values['yes'] === true,
    dryRun: values['dry-run'] === true,
    secret: named === undefined ? null : { namespace, name },
  }
}

/** `tell` is told of the plan, and of each step when it has ended. Throws `usage` where nobody can be asked, and KubeError. */
export async function fix(
  cluster: Cluster,
  judged: readonly DiagnosedFailure[],
  { wish, io, tell }: { wish: FixWish; io: Io; tell: (line: string) => void },
): Promise<FixReport> {
  const plan = await planFix(cluster.api, judged, wish.secret)
  const { left } = plan
  for (const { step } of plan.steps) tell(`plan  ${stepText(step)}`)
  for (const { namespace, pod, why } of left) tell(`left  pod ${namespace}/${pod}: ${why}`)
  const planned = plan.steps.map(({ step }): StepReport => ({
    step,
    outcome: 'planned',
    problem: null,
  }))
  if (planned.length === 0) tell('there is nothing that --fix could do')
  const isWanted =
    planned.length > 0 &&
    !wish.dryRun &&
    (wish.yes || (await confirm(`Do this in ${cluster.context} (${cluster.server})?`, io)))
  if (!isWanted) return { steps: planned, left }
  const steps = await executeFix(cluster.api, plan, {
    signal: io.signal,
    onReport: ({ step, outcome, problem }) =>
      tell(`${outcome}  ${stepText(step)}${problem === null ? '' : `: ${problem}`}`),
  })
  return { steps, left }
}

/** Whether nothing is left to do: not by a person, and not by another run. */
export function isFixed({ steps, left }: FixReport): boolean {
  return (
    left.length === 0 && steps.every(({ outcome }) => outcome === 'done' || outcome === 'unneeded')
  )
}

/** The shape of `-o json`. */
export function shownFix({ steps, left }: FixReport): object {
  return { steps: steps.map(shownReport), left }
}
