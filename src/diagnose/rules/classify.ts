/** Finds the rule for a message by the decision table alone: no cluster, no registry. Pure. */
import { cutText } from '../../text/cut-text.ts'
import { isNormalEvent } from './line-start.ts'
import { maskNames } from './mask-names.ts'
import { ranks } from './rule.ts'
import { splitErrors } from './split-errors.ts'
import { type Rule, ruleByCause, rules, unknown } from './table.ts'

/** What a message alone says. */
export interface Classification {
  readonly rule: Rule
  /** What to do, as specific as the message allows. */
  readonly fix: string
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
  const rule = isNormalEvent(line.slice(0, maxLineLength))
    ? ruleByCause('no-pull-failure')
    : rules.find(
        ({ linePatterns = [], except }) =>
          linePatterns.some((each) => each.test(masked)) && except?.test(masked) !== true,
      )
  const classified = classify(line)
  return rule === undefined ? classified : { ...classified, rule, fix: rule.fix }
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
  return { rule, fix: fixOf(rule, message, ''), errors: shown }
}

/** Returns whether the kubelet wrote the whole message, which then says what the rule is about. */
export function isKubeletText({ kubeletText }: Rule, message: string): boolean {
  const errors = splitErrors(message)
  return errors.length === 1 && errors.every(({ context }) => kubeletText?.test(context.trim()))
}

/** Characters of a line that say what it reports. */
const maxLineLength = 4_096

/** Characters of a message that decide between the fixes of a rule. */
const maxFixLength = 8_192

/** Returns the rule's fix for this message; `host` is the registry of the image, or empty. */
export function fixOf({ fix, fixes = [] }: Rule, message: string, host: string): string {
  const text = `${message.slice(0, maxFixLength).toLowerCase()} ${host}`
  return fixes.find((each) => each.text.test(text))?.fix ?? fix
}

function ruleFor(maskedError: string): Rule {
  return (
    rules.find(
      ({ patterns, except }) =>
        patterns.some((pattern) => pattern.test(maskedError)) && except?.test(maskedError) !== true,
    ) ?? unknown
  )
}
