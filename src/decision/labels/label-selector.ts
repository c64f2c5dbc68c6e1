/** Matches labels against label selectors (apimachinery, pkg/apis/meta/v1/types.go, LabelSelector). */
import { isObject, member } from '../../json/json.ts'

const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const
type SelectorOperator = (typeof operators)[number]

export interface LabelSelector {
  readonly matchLabels: Readonly<Record<string, string>>
  readonly matchExpressions: readonly LabelRequirement[]
}

interface LabelRequirement {
  readonly key: string
  readonly operator: SelectorOperator
  readonly values: readonly string[]
}

/** Reads a selector from a Kubernetes object. Returns null if it is not a selector or has an unknown operator. */
export function parseLabelSelector(value: unknown): LabelSelector | null {
  if (!isObject(value)) return null
  const labels = member(value, 'matchLabels') ?? {}
  const expressions = member(value, 'matchExpressions') ?? []
  if (!isObject(labels) || !Array.isArray(expressions)) return null
  const requirements = expressions.map(parseRequirement)
  if (!isStrings(Object.values(labels)) || requirements.includes(null)) return null
  return {
    matchLabels: labels as LabelSelector['matchLabels'],
    matchExpressions: requirements.filter((each) => each !== null),
  }
}

/**
 * Returns true if the labels meet every requirement; an empty selector selects everything, null selects nothing.
 * `NotIn` also selects objects without the label, as in Kubernetes (apimachinery, pkg/labels/selector.go).
 */
export function matchesSelector(
  selector: LabelSelector | null,
  labels: Readonly<Record<string, unknown>>,
): boolean {
  if (selector === null) return false
  const valueOf = (key: string) => (Object.hasOwn(labels, key) ? labels[key] : undefined)
  return (
    Object.entries(selector.matchLabels).every(([key, value]) => valueOf(key) === value) &&
    selector.matchExpressions.every(({ key, operator, values }) => {
      const value = valueOf(key)
      const isListed = typeof value === 'string' && values.includes(value)
      switch (operator) {
        case 'In':
          return isListed
        case 'NotIn':
          return !isListed
        case 'Exists':
          return value !== undefined
        case 'DoesNotExist':
          return value === undefined
      }
    })
  )
}

function parseRequirement(expression: unknown): LabelRequirement | null {
  const key = member(expression, 'key')
  const operator = operators.find((each) => each === member(expression, 'operator'))
  const values: unknown = member(expression, 'values') ?? []
  if (typeof key !== 'string' || operator === undefined) return null
  return Array.isArray(values) && isStrings(values) ? { key, operator, values } : null
}

function isStrings(values: readonly unknown[]): values is string[] {
  return values.every((value) => typeof value === 'string')
}
