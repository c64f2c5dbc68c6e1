/** The decision table: every rule, in the order in which they are tried on an error. */
import { accessRules } from './access.ts'
import { contentRules } from './content.ts'
import { lineRules } from './lines.ts'
import { localRules } from './local.ts'
import { networkRules } from './network.ts'
import { nodeRules } from './node.ts'
import { policyRules } from './policy.ts'
import type { RuleData } from './rule.ts'

const unknownRule = {
  id: 'D99',
  cause: 'unknown',
  certainty: 'unknown',
  rank: 'unknown',
  patterns: [],
  means: 'no rule matches this message',
  fix: 'read the message; if the kubelet only says "Back-off", an earlier event has the cause',
  saysNothingOfImage: true,
} as const satisfies RuleData

const table = [
  ...localRules,
  ...policyRules,
  ...nodeRules,
  ...networkRules,
  ...accessRules,
  ...contentRules,
  ...lineRules,
  unknownRule,
] as const

export type RuleId = (typeof table)[number]['id']
export type Cause = (typeof table)[number]['cause']

export interface Rule extends RuleData {
  readonly id: RuleId
  readonly cause: Cause
}

/** In order: the first rule that matches an error decides. */
export const rules: readonly Rule[] = table

/** The verdict when no rule matches. */
export const unknown: Rule = unknownRule

const byCause = Object.fromEntries(rules.map((rule) => [rule.cause, rule])) as Readonly<
  Record<Cause, Rule>
>

/** Returns the rule with this cause. */
export function ruleByCause(cause: Cause): Rule {
  return byCause[cause]
}
