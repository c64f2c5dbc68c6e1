/** Compiles the `when` of rows and rules. */
import { compileNameGlob } from '../decision/fallback/glob.ts'
import type { NameGlob, PodCondition } from '../decision/fallback/pod-condition.ts'
import type { PathPart, ReportProblem } from './problem.ts'
import type { ConfigInput } from './schema.ts'

type WhenInput = ConfigInput['fallback'][number]['when']
type SelectorInput = NonNullable<NonNullable<WhenInput>['pods']>

/** Returns the condition; null without `when`. */
export function readWhen(
  input: WhenInput,
  path: readonly PathPart[],
  report: ReportProblem,
): PodCondition | null {
  if (input === undefined) return null
  const { namespaces, pods, owners } = input
  if (namespaces === undefined && pods === undefined && owners === undefined)
    report('error', path, '`when` has no condition; add `namespaces`, `pods` or `owners`')
  if (pods !== undefined) checkSelector(pods, [...path, 'pods'], report)
  return {
    text: textOf(input),
    namespaces:
      namespaces === undefined ? null : readNameGlobs(namespaces, [...path, 'namespaces'], report),
    pods: pods ?? null,
    owners: owners ?? null,
  }
}

/** Returns the compiled globs of a list, without those that are invalid. */
export function readNameGlobs(
  texts: readonly string[],
  path: readonly PathPart[],
  report: ReportProblem,
): NameGlob[] {
  return texts.flatMap((text, index) => {
    const matches = compileNameGlob(text)
    if (matches !== null) return [{ text, matches }]
    report(
      'error',
      [...path, index],
      `"${text}" is not a glob for names; use lower-case letters, digits, \`-\` and the wildcards \`*\`, \`?\` and \`[…]\``,
    )
    return []
  })
}

/** Reports what Kubernetes would reject in a label selector (apimachinery, pkg/apis/meta/v1/validation). */
function checkSelector(
  { matchLabels, matchExpressions }: SelectorInput,
  path: readonly PathPart[],
  report: ReportProblem,
): void {
  if (Object.keys(matchLabels).length + matchExpressions.length === 0)
    report('error', path, 'the selector is empty; add `matchLabels` or `matchExpressions`')
  for (const [index, { operator, values }] of matchExpressions.entries()) {
    const needsValues = operator === 'In' || operator === 'NotIn'
    if (needsValues === values.length > 0) continue
    report(
      'error',
      [...path, 'matchExpressions', index, 'values'],
      needsValues ? `${operator} needs \`values\`` : `${operator} has no \`values\`; remove them`,
    )
  }
}

/** Describes a condition, in a fixed order: `namespaces db-*, billing; pods app=db; owners apps/ReplicaSet`. */
function textOf({ namespaces, pods, owners }: NonNullable<WhenInput>): string {
  return [
    ...(namespaces === undefined ? [] : [`namespaces ${listOf(namespaces)}`]),
    ...(pods === undefined ? [] : [`pods ${selectorText(pods)}`]),
    ...(owners === undefined ? [] : [`owners ${listOf(owners)}`]),
  ].join('; ')
}

/** Writes a selector as `kubectl --selector` takes it. */
function selectorText({ matchLabels, matchExpressions }: SelectorInput): string {
  const pairs = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`)
  const requirements = matchExpressions.map(({ key, operator, values }) => {
    switch (operator) {
      case 'Exists':
        return key
      case 'DoesNotExist':
        return `!${key}`
      case 'In':
        return `${key} in (${listOf(values)})`
      case 'NotIn':
        return `${key} notin (${listOf(values)})`
    }
  })
  return [...pairs.sort(), ...requirements.sort()].join(', ')
}

function listOf(texts: readonly string[]): string {
  return [...new Set(texts)].sort().join(', ')
}
