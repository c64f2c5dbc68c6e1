/** From a message to a verdict, by the decision table alone: no cluster, no registry. Pure. */
import { type Rule, ranks } from './rule.ts'
import { accessRules } from './access.ts'
import { contentRules, unknown } from './content.ts'
import { localRules } from './local.ts'
import { networkRules } from './network.ts'
import { nodeRules } from './node.ts'
import { policyRules } from './policy.ts'
import { splitErrors } from './split-errors.ts'
import { maskNames } from './mask-names.ts'

/** The decision table, in order: within one error the first rule that knows it decides. */
export const rules: readonly Rule[] = [
  ...localRules,
  ...policyRules,
  ...nodeRules,
  ...networkRules,
  ...accessRules,
  ...contentRules,
  unknown,
]

/** What a message alone says. */
export interface Classification {
  readonly cause: Rule
  /** Its errors, as people read them. */
  readonly leaves: readonly string[]
}

/** Never throws, whatever the text. */
export function classify(message: string): Classification {
  const leaves = splitErrors(message)
  const found = leaves.map(({ context }) => causeOf(maskNames(context).toLowerCase()))
  const cause = found.reduce(
    (best, each) => (ranks.indexOf(each.rank) < ranks.indexOf(best.rank) ? each : best),
    unknown,
  )
  return { cause, leaves: leaves.map(({ text }) => text) }
}

function causeOf(text: string): Rule {
  return rules.find(({ patterns }) => patterns.some((pattern) => pattern.test(text))) ?? unknown
}

/** The row with this number; `unknown` when there is none. */
export function ruleOf(rule: string): Rule {
  return rules.find((each) => each.rule === rule) ?? unknown
}
