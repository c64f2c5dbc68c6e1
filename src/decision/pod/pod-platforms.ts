/** Reads which platforms a raw pod requires of its nodes. */
import { isObject, member } from '../../json/json.ts'
import { isPlatform } from '../platforms/platform.ts'

/** The labels of nodes for their architecture and operating system; `beta` in old manifests (kubernetes, well-known labels). */
const architectureLabels = ['kubernetes.io/arch', 'beta.kubernetes.io/arch']
const systemLabels = ['kubernetes.io/os', 'beta.kubernetes.io/os']
export const platformLabels: readonly string[] = [...architectureLabels, ...systemLabels]

export const requiredAffinityKey = 'requiredDuringSchedulingIgnoredDuringExecution'

/** More architectures than Kubernetes supports. */
const maxPlatforms = 8

/** Required node affinity may have any number of terms, expressions and values. Real pods have a few. */
const limits = { terms: 100, expressions: 20, values: 32 }

/**
 * Returns the platforms that the node selector and the required node affinity of a pod name, such as `linux/arm64`, sorted. The
 * pod may run on a node of each of them. Empty if it names no architecture.
 */
export function readPodPlatforms(pod: unknown): readonly string[] {
  const spec = member(pod, 'spec')
  const selector = member(spec, 'nodeSelector')
  const required = member(member(member(spec, 'affinity'), 'nodeAffinity'), requiredAffinityKey)
  if (selector === undefined && required === undefined) return []
  const terms = member(required, 'nodeSelectorTerms')
  const valuesOf = (labels: readonly string[]) =>
    intersection([
      ...labels.map((label) => selectorValue(selector, label)),
      ...(Array.isArray(terms) ? [termValues(terms, labels)] : []),
    ])
  const architectures = valuesOf(architectureLabels)
  if (architectures === null) return []
  const name = member(member(spec, 'os'), 'name')
  const [system = 'linux'] = valuesOf(systemLabels) ?? [typeof name === 'string' ? name : 'linux']
  const named = architectures.map((each) => `${system}/${each}`).filter(isPlatform)
  const platforms = new Set(named)
  return platforms.size > maxPlatforms ? [] : [...platforms].sort()
}

function selectorValue(selector: unknown, label: string): readonly string[] | null {
  const value = isObject(selector) ? member(selector, label) : undefined
  return typeof value === 'string' ? [value] : null
}

/** One of the terms must hold, so a label is restricted only if each term restricts it. Null: any value. */
function termValues(
  terms: readonly unknown[],
  labels: readonly string[],
): readonly string[] | null {
  if (terms.length === 0 || terms.length > limits.terms) return null
  const values = terms.map((term) => {
    const expressions = member(term, 'matchExpressions')
    if (!Array.isArray(expressions) || expressions.length > limits.expressions) return null
    return intersection(expressions.map((each) => expressionValues(each, labels)))
  })
  return values.some((each) => each === null) ? null : values.flatMap((each) => each ?? [])
}

/** Null for an expression that does not list the values of a label. */
function expressionValues(
  expression: unknown,
  labels: readonly string[],
): readonly string[] | null {
  const values = member(expression, 'values')
  const isRelevant =
    labels.includes(String(member(expression, 'key'))) && member(expression, 'operator') === 'In'
  if (!isRelevant || !Array.isArray(values) || values.length > limits.values) return null
  return values.filter((value): value is string => typeof value === 'string')
}

/** Returns the values that all lists have; null if there is no list. */
function intersection(lists: readonly (readonly string[] | null)[]): readonly string[] | null {
  return lists.reduce<readonly string[] | null>((common, list) => {
    if (common === null || list === null) return common ?? list
    const others = new Set(list)
    return common.filter((value) => others.has(value))
  }, null)
}
