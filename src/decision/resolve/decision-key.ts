/** Makes the keys under which decisions are cached. */
import { conditionHolds } from '../fallback/pod-condition.ts'
import { type PodContext, templateNamespace } from '../fallback/pod-context.ts'
import { canonicalHost } from '../fallback/registry-aliases.ts'
import {
  type FallbackRow,
  type FallbackTable,
  mayConflict,
  selectRow,
  tablePodKey,
} from '../fallback/table.ts'
import { readImage } from './decide-by-row.ts'
import type { ResolvePolicy } from './resolve-policy.ts'

type DecisionKey = (image: string, pod: PodContext) => string

/**
 * Returns a function from an image and its pod to the key of its decision. Pods that require a platform share decisions only
 * with pods that require the same. A namespace does not begin with @, and a claimed digest has no slash, so no other key is
 * the same.
 */
export function createDecisionKey(policy: ResolvePolicy): DecisionKey {
  const keyOf = createRowKey(policy)
  return (image, pod) => {
    const { platforms = [] } = pod
    const key = keyOf(image, pod)
    return platforms.length === 0 ? key : `${key} @${platforms.join()}`
  }
}

/**
 * Returns a function from an image and its pod to the key of its decision. The key has the row of the image, but not the
 * labels and owners of the pod: pods for which the same row decides share the decision (docs/adr/0011). If the result of the
 * row can be an image of another row, the key also has the conditions that hold for the pod.
 */
function createRowKey(policy: ResolvePolicy): DecisionKey {
  const { table, pin } = policy
  const { when = null } = pin
  const usesNamespace = (row: FallbackRow | null) =>
    row?.try.some(({ variables }) => variables.has('namespace')) === true
  const dependsOnNamespace = table.rows.some(usesNamespace)
  const leadsOn = createLeadsOn(table)
  // The space cannot be part of a valid image or a namespace, so keys of valid images are unambiguous.
  const keyOf = (image: string, pod: PodContext, dependsOnNamespace: boolean) =>
    dependsOnNamespace ? `${image} ${templateNamespace(pod)}` : image
  const keyByRow = (image: string, pod: PodContext) => {
    const read = readImage(image, policy, pod)
    if (!read.ok) return image
    const { row, undecided } = selectRow(table, read.reference, pod)
    const rows = [row, ...undecided].map((each) => JSON.stringify(each?.name ?? null))
    const isFollowed = [row, ...undecided].some((each) => each !== null && leadsOn(each))
    const usesOwn = isFollowed ? dependsOnNamespace : usesNamespace(row)
    const key = `${keyOf(image, pod, usesOwn)} ${conditionHolds(when, pod)} ${rows.join()}`
    return isFollowed ? `${key} ${tablePodKey(table, pod)}` : key
  }
  if (table.index.hasConditions || when !== null) return keyByRow
  return (image, pod) =>
    mayConflict(table, pod) ? keyByRow(image, pod) : keyOf(image, pod, dependsOnNamespace)
}

/**
 * Returns a function that tells if a candidate of a row may be an image that another row decides (`follow-rows.ts`). It
 * compares hosts only, so it may say so of a row whose candidates no other row decides.
 */
function createLeadsOn({
  rows,
  mirrors,
  isPlainHttp,
}: FallbackTable): (row: FallbackRow) => boolean {
  const isDecidedHost = memoize((host: string) => {
    const isMirror = mirrors.has(host)
    return rows.some(
      ({ leave, images }) =>
        !leave &&
        images.some((each) =>
          each.canonicalHost === null ? !isMirror : each.canonicalHost === host,
        ),
    )
  })
  return memoize((row: FallbackRow) =>
    row.try.some(({ text, host }) => {
      if (text === '{host}/{path}') return false
      if (host === null) return true
      const canonical = canonicalHost(host, isPlainHttp)
      // The original is not followed.
      const isOriginal =
        text === `${host}/{path}` && row.images.every((each) => each.canonicalHost === canonical)
      return !isOriginal && isDecidedHost(canonical)
    }),
  )
}

function memoize<Argument, Result>(compute: (argument: Argument) => Result) {
  const results = new Map<Argument, Result>()
  return (argument: Argument): Result => {
    const known = results.get(argument)
    if (known !== undefined) return known
    const result = compute(argument)
    results.set(argument, result)
    return result
  }
}
