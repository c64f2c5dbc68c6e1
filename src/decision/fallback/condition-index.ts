/**
 * An index that finds the conditions that hold for a pod without testing all conditions. Each condition is stored under
 * something that a pod must have to meet it: the namespace or the beginning or end of its name, a label, or an owner. A
 * lookup tests only the conditions that are stored under what the pod has.
 */
import { hasWildcard } from './glob.ts'
import { type PodCondition, testCondition, type UnknownPart } from './pod-condition.ts'
import type { PodContext } from './pod-context.ts'

export interface ConditionIndex {
  /** Returns the positions of the conditions for a pod, in order. */
  find(pod: PodContext): ConditionMatches
}

export interface ConditionMatches {
  readonly holding: readonly number[]
  /** Those that depend on a part of the pod that is not known. */
  readonly unknown: readonly number[]
}

/** Keys of the index. No two kinds of keys begin alike. */
const keyOf = {
  namespace: (name: string) => `n ${name}`,
  prefix: (text: string) => `p ${text}`,
  suffix: (text: string) => `s ${text}`,
  owner: (owner: string) => `o ${owner}`,
  label: (key: string) => `k ${key}`,
  labelValue: (key: string, value: string) => `l ${key}=${value}`,
}

interface IndexContent {
  readonly byKey: Map<string, number[]>
  /** Lengths of the prefixes and suffixes of namespaces that are keys. */
  readonly prefixLengths: Set<number>
  readonly suffixLengths: Set<number>
  /** Labels that are part of a key. */
  readonly labels: Set<string>
  /** Conditions without a key, which are always tested. */
  readonly others: number[]
}

export function createConditionIndex(conditions: readonly PodCondition[]): ConditionIndex {
  const content: IndexContent = {
    byKey: new Map(),
    prefixLengths: new Set(),
    suffixLengths: new Set(),
    labels: new Set(),
    others: [],
  }
  for (const [position, condition] of conditions.entries()) {
    const keys = keysOfCondition(condition, content)
    if (keys === null) content.others.push(position)
    for (const key of new Set(keys)) listAt(content.byKey, key).push(position)
  }
  return {
    find: (pod) => {
      const candidates = isKnown(pod) ? candidatesFor(content, pod) : conditions.keys()
      const holding: number[] = []
      const unknown: number[] = []
      for (const position of candidates) {
        const result = testCondition(conditions[position] ?? null, pod)
        if (result === 'holds') holding.push(position)
        else if (result === 'unknown') unknown.push(position)
      }
      return { holding, unknown }
    },
  }
}

type KnownPod = { readonly [Part in UnknownPart]: NonNullable<PodContext[Part]> }

function isKnown(pod: PodContext): pod is KnownPod {
  return pod.namespace !== null && pod.labels !== null && pod.owners !== null
}

/** Returns keys of which a pod that meets the condition has at least one; null if there are no such keys. */
function keysOfCondition(condition: PodCondition, content: IndexContent): string[] | null {
  return namespaceKeys(condition, content) ?? labelKeys(condition, content) ?? ownerKeys(condition)
}

function namespaceKeys({ namespaces }: PodCondition, content: IndexContent): string[] | null {
  if (namespaces === null) return null
  const ends = namespaces.map(({ text }) => ({
    text,
    prefix: /^[^*?[]*/.exec(text)?.[0] ?? '',
    suffix: /[^*?\]]*$/.exec(text)?.[0] ?? '',
  }))
  if (ends.some(({ prefix, suffix }) => prefix === '' && suffix === '')) return null
  return ends.map(({ text, prefix, suffix }) => {
    if (!hasWildcard(text)) return keyOf.namespace(text)
    if (prefix !== '') {
      content.prefixLengths.add(prefix.length)
      return keyOf.prefix(prefix)
    }
    content.suffixLengths.add(suffix.length)
    return keyOf.suffix(suffix)
  })
}

function labelKeys({ pods }: PodCondition, { labels }: IndexContent): string[] | null {
  if (pods === null) return null
  const [pair] = Object.entries(pods.matchLabels)
  const isOneOf = pods.matchExpressions.find(({ operator }) => operator === 'In')
  const exists = pods.matchExpressions.find(({ operator }) => operator === 'Exists')
  const key = pair?.[0] ?? isOneOf?.key ?? exists?.key
  if (key === undefined) return null
  labels.add(key)
  const values = pair === undefined ? isOneOf?.values : [pair[1]]
  return values === undefined
    ? [keyOf.label(key)]
    : values.map((value) => keyOf.labelValue(key, value))
}

function ownerKeys({ owners }: PodCondition): string[] | null {
  return owners === null ? null : owners.map((owner) => keyOf.owner(owner))
}

/** Returns the positions that are stored under what the pod has, in order. */
function candidatesFor(content: IndexContent, pod: KnownPod): readonly number[] {
  const { byKey, prefixLengths, suffixLengths, labels, others } = content
  if (byKey.size === 0) return others
  // Created for the first condition that is found: most pods meet none.
  let found: Set<number> | null = null
  const add = (key: string) => {
    const positions = byKey.get(key)
    if (positions === undefined) return
    found ??= new Set(others)
    for (const position of positions) found.add(position)
  }
  const { namespace } = pod
  add(keyOf.namespace(namespace))
  for (const length of prefixLengths)
    if (length <= namespace.length) add(keyOf.prefix(namespace.slice(0, length)))
  for (const length of suffixLengths)
    if (length <= namespace.length) add(keyOf.suffix(namespace.slice(-length)))
  if (labels.size > 0) {
    for (const [label, value] of Object.entries(pod.labels)) {
      if (!labels.has(label)) continue
      add(keyOf.label(label))
      // The API server has not validated the pod yet.
      if (typeof value === 'string') add(keyOf.labelValue(label, value))
    }
  }
  for (const owner of pod.owners) {
    add(keyOf.owner(owner))
    add(keyOf.owner(`${owner.slice(0, owner.lastIndexOf('/'))}/*`))
  }
  return found === null ? others : [...found].sort((one, other) => one - other)
}

function listAt(lists: Map<string, number[]>, key: string): number[] {
  const known = lists.get(key)
  if (known !== undefined) return known
  const created: number[] = []
  lists.set(key, created)
  return created
}
