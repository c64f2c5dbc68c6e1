/** Prints which images verification policies stop covering when Berth changes their names. */
import type { PolicyChange } from '../../policies/policy-changes.ts'
import { policyTitle, type PolicyRule } from '../../policies/policy-rule.ts'
import { escapeLine } from '../../text/escape-terminal.ts'

export interface PolicyReport {
  readonly rules: readonly PolicyRule[]
  readonly changes: readonly PolicyChange[]
  /** False if the search for images was cut short. */
  readonly isComplete: boolean
  /** Policies that cover images of the table, whose signatures `berth mirror` does not copy. */
  readonly needsReferrers: boolean
}

/** Returns true if a change makes the policy admit or refuse other images than before. */
export function isGap({ rule, change }: PolicyChange): boolean {
  return change === 'leaves' || rule.action === 'restrict'
}

/** Returns the lines for people: the gaps first. */
export function policyLines({
  rules,
  changes,
  isComplete,
  needsReferrers,
}: PolicyReport): string[] {
  const sorted = changes.toSorted((one, other) => Number(isGap(other)) - Number(isGap(one)))
  return [
    ...sorted.map((change) => escapeLine(changeText(change))),
    ...rules.flatMap((rule) => rule.unchecked.map((part) => escapeLine(uncheckedText(rule, part)))),
    ...(isComplete
      ? []
      : ['not checked: the rest of the table; there are too many rows and globs']),
    ...(needsReferrers
      ? [
          'signatures are not mirrored: set `mirror.referrers: true`, or run berth mirror with --policies',
        ]
      : []),
    escapeLine(summaryText(rules, changes)),
  ]
}

function changeText({ rule, row, image, becomes, change, cause, isExample }: PolicyChange): string {
  const from = row === null ? '' : ` (row ${row})`
  const what = isExample ? `for example ${image}` : image
  const digest = cause === 'digest' ? ', because Berth adds a digest' : ''
  return `${placeOf(rule)}: ${effectText(rule, change)}: ${what} → ${becomes}${from}${digest}`
}

/** What the change does to a pod with the image. */
function effectText({ action }: PolicyRule, change: PolicyChange['change']): string {
  if (action === 'restrict')
    return change === 'leaves'
      ? 'the image is refused under its new name'
      : 'the image is no longer refused'
  return change === 'leaves'
    ? 'the image is not verified under its new name'
    : 'the image is verified only under its new name'
}

function uncheckedText(
  rule: PolicyRule,
  { place, text, reason }: PolicyRule['unchecked'][number],
): string {
  const { source, line } = rule.policy
  return `${source}:${line}: ${policyTitle(rule.policy)}: not checked: ${place}: ${text.trim()}: ${reason}`
}

function placeOf({ policy, place }: PolicyRule): string {
  return `${policy.source}:${policy.line}: ${policyTitle(policy)}, ${place}`
}

function summaryText(rules: readonly PolicyRule[], changes: readonly PolicyChange[]): string {
  const policies = new Set(rules.map(({ policy }) => `${policy.source} ${policyTitle(policy)}`))
  const unchecked = rules.flatMap((rule) => rule.unchecked).length
  const gaps = changes.filter(isGap).length
  return `policies: ${policies.size}, rules: ${rules.length}, gaps: ${gaps}, not checked: ${unchecked}`
}

/** Returns the gaps as errors and what is not checked as warnings, for code review. */
export function policyFindings({ rules, changes }: PolicyReport): {
  readonly level: 'error' | 'warning'
  readonly file: string
  readonly line: number
  readonly message: string
}[] {
  const at = ({ policy }: PolicyRule) => ({ file: policy.source, line: policy.line })
  return [
    ...changes
      .filter(isGap)
      .map(
        (change) => ({ level: 'error', ...at(change.rule), message: changeText(change) }) as const,
      ),
    ...rules.flatMap((rule) =>
      rule.unchecked.map(
        (part) => ({ level: 'warning', ...at(rule), message: uncheckedText(rule, part) }) as const,
      ),
    ),
  ]
}

/** Returns the data of `berth check -o json`. The names are a contract. */
export function policyRecord({ rules, changes, isComplete, needsReferrers }: PolicyReport): object {
  return {
    rules: rules.length,
    changes: changes.map((change) => ({
      ...ruleRecord(change.rule),
      row: change.row,
      image: change.image,
      becomes: change.becomes,
      change: change.change,
      action: change.rule.action,
      cause: change.cause,
      example: change.isExample,
    })),
    notChecked: rules.flatMap((rule) =>
      rule.unchecked.map((part) => ({ ...ruleRecord(rule), ...part })),
    ),
    complete: isComplete,
    signaturesMirrored: !needsReferrers,
  }
}

function ruleRecord({ policy, place }: PolicyRule): object {
  const { kind, namespace, name, source, line } = policy
  return { kind, namespace, name, file: source, line, place }
}
