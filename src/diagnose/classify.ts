/** From a message to a verdict, by the decision table alone: no cluster, no registry. Pure. */
import { type Cause, ranks } from './cause.ts'
import { accessCauses } from './causes-access.ts'
import { contentCauses, unknown } from './causes-content.ts'
import { localCauses } from './causes-local.ts'
import { networkCauses } from './causes-network.ts'
import { nodeCauses } from './causes-node.ts'
import { policyCauses } from './causes-policy.ts'
import { leavesOf } from './leaves.ts'
import { tokenise } from './tokens.ts'

/** The decision table, in order: within one error the first rule that knows it decides. */
export const causes: readonly Cause[] = [
  ...localCauses,
  ...policyCauses,
  ...nodeCauses,
  ...networkCauses,
  ...accessCauses,
  ...contentCauses,
  unknown,
]

/** What a message alone says. */
export interface Classification {
  readonly cause: Cause
  /** Its errors, as people read them. */
  readonly leaves: readonly string[]
}

/** Never throws, whatever the text. */
export function classify(message: string): Classification {
  const leaves = leavesOf(message)
  const found = leaves.map(({ context }) => causeOf(tokenise(context).toLowerCase()))
  const cause = found.reduce(
    (best, each) => (ranks.indexOf(each.rank) < ranks.indexOf(best.rank) ? each : best),
    unknown,
  )
  return { cause, leaves: leaves.map(({ text }) => text) }
}

function causeOf(text: string): Cause {
  return causes.find(({ patterns }) => patterns.some((pattern) => pattern.test(text))) ?? unknown
}

/** The row with this number; `unknown` when there is none. */
export function causeOfRule(rule: string): Cause {
  return causes.find((each) => each.rule === rule) ?? unknown
}
