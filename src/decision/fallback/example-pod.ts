/** Example pods for conditions, to check a table without real pods. */
import type { LabelSelector } from '../labels/label-selector.ts'
import { fillGlob } from './glob.ts'
import type { PodCondition } from './pod-condition.ts'
import type { PodContext } from './pod-context.ts'

/** Returns a pod that meets the condition, if any pod can. Without a condition: a pod without labels and owners. */
export function examplePod(condition: PodCondition | null): PodContext & { namespace: string } {
  const [namespace] = condition?.namespaces ?? []
  const [owner] = condition?.owners ?? []
  return {
    namespace: namespace === undefined ? 'default' : fillGlob(namespace.text),
    labels: exampleLabels(condition?.pods ?? null),
    owners: owner === undefined ? [] : [owner.replace(/\*$/, 'Kind')],
  }
}

function exampleLabels(selector: LabelSelector | null): Readonly<Record<string, string>> {
  if (selector === null) return {}
  const required = selector.matchExpressions.flatMap(({ key, operator, values }) =>
    operator === 'In' || operator === 'Exists' ? [[key, values[0] ?? 'a']] : [],
  )
  return { ...(Object.fromEntries(required) as Record<string, string>), ...selector.matchLabels }
}
