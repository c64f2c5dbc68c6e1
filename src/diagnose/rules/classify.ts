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

/**
 * Returns the rule of a line of a log or of a list of Events, which need not report a failed pull. Never throws.
 */
export function classifyLine(line: string): Classification {
  const [whole = ''] = splitErrors(line.slice(0, maxLineLength)).map(({ context }) => context)
  const masked = maskNames(whole).toLowerCase().trim()
  const rule = rules.find(({ linePatterns }) => linePatterns?.some((each) => each.test(masked)))
  const classified = classify(line)
  return rule === undefined ? classified : { ...classified, rule }
}

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

/** Characters of a line that say what it reports. */
const maxLineLength = 4_096

function ruleFor(maskedError: string): Rule {
  return (
    rules.find(({ patterns }) => patterns.some((pattern) => pattern.test(maskedError))) ?? unknown
  )
}
