/** Finds the rule for a message by the decision table alone: no cluster, no registry. Pure. */
import { cutText } from '../../text/cut-text.ts'
import { maskNames } from './mask-names.ts'
import { ranks } from './rule.ts'
import { splitErrors } from './split-errors.ts'
import { type Rule, rules, unknown } from './table.ts'

/** What a message alone says. */
export interface Classification {
  readonly rule: Rule
  /** The errors in the message, for people. */
  readonly errors: readonly string[]
}

/** Of the errors for people. A runtime lists one for each mirror. */
const maxErrors = 20

/** Characters of one error. The API server limits the message of an Event to as many bytes. */
const maxErrorLength = 1_024

/** Returns the rule of the error that ranks first. Never throws. */
export function classify(message: string): Classification {
  const errors = splitErrors(message)
  const rule = errors
    .map(({ context }) => ruleFor(maskNames(context).toLowerCase()))
    .reduce(
      (best, each) => (ranks.indexOf(each.rank) < ranks.indexOf(best.rank) ? each : best),
      unknown,
    )
  const shown = errors.slice(0, maxErrors).map(({ text }) => cutText(text, maxErrorLength))
  return { rule, errors: shown }
}

function ruleFor(maskedError: string): Rule {
  return (
    rules.find(({ patterns }) => patterns.some((pattern) => pattern.test(maskedError))) ?? unknown
  )
}
