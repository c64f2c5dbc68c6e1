/**
 * Caches decisions as long as the probe outcomes behind them are fresh. Most pods of a cluster use an image that another
 * pod has just used, and then nothing has to be resolved (docs/adr/0005).
 */
import { LRUCache } from 'lru-cache'
import { conditionHolds } from '../fallback/pod-condition.ts'
import { type PodContext, templateNamespace } from '../fallback/pod-context.ts'
import { type FallbackRow, selectRow } from '../fallback/table.ts'
import type { LazySignal } from './budget.ts'
import { type Decision, decisionOf, type ImageDecision, readImage } from './decide-by-row.ts'
import type { ResolveDependencies } from './probe-candidate.ts'
import { resolve } from './resolve.ts'
import type { ResolvePolicy } from './resolve-policy.ts'

export interface DecideRequest {
  readonly pod: PodContext
  readonly signal: LazySignal
}

/** Decides one image, given as the text in the pod. Synchronous if the decision is cached. */
export type Decide = (image: string, request: DecideRequest) => Decision | Promise<Decision>

/** More distinct images than a cluster starts within the 30 seconds that a tag is fresh. */
const maxEntries = 10_000

/** 1,600 bytes for each entry. A pod can name images of 4 KiB, and each candidate and its registry repeat parts of the name. */
const maxBytes = 16_000_000

/** Estimate for the objects of a decision, and for those of each of its steps. */
const decisionOverheadBytes = 600
const stepOverheadBytes = 300

/** Returns a caching decide function for one config. A reloaded config needs a new one. */
export function createDecide(dependencies: ResolveDependencies, policy: ResolvePolicy): Decide {
  const cache = new LRUCache<string, ImageDecision>({
    max: maxEntries,
    maxSize: maxBytes,
    sizeCalculation: decisionBytes,
  })
  const decisionKey = createDecisionKey(policy)
  return (image, { pod, signal }) => {
    const key = decisionKey(image, pod)
    const cached = cache.get(key)
    if (cached !== undefined && dependencies.now() < cached.resolution.freshUntil) return cached
    const read = readImage(image, policy, pod)
    if (!read.ok) return read
    const request = { reference: read.reference, pod, signal: signal() }
    return resolve(dependencies, policy, request).then((resolution) => {
      const decision = decisionOf(image, resolution)
      if (dependencies.now() < resolution.freshUntil) cache.set(key, decision)
      return decision
    })
  }
}

/** Returns about how many bytes an entry of the cache takes. */
function decisionBytes({ image, why, resolution }: ImageDecision, key: string): number {
  const { steps, original, chosen } = resolution
  const names = [key, image, why, original.domain, original.path, chosen.domain, chosen.path]
  return steps.reduce(
    // The reference of a candidate repeats its image.
    (bytes, { candidate, detail }) =>
      bytes + stepOverheadBytes + 2 * candidate.image.length + (detail?.length ?? 0),
    names.reduce((bytes, name) => bytes + name.length, decisionOverheadBytes),
  )
}

/**
 * Returns a function from an image and its pod to the key of its decision. Of the pod, the key has only what the row of the
 * image makes of it, and not its labels and owners: pods for which the same row decides share the decision (docs/adr/0011).
 */
function createDecisionKey(policy: ResolvePolicy): (image: string, pod: PodContext) => string {
  const { table, pin } = policy
  const { when = null } = pin
  const usesNamespace = (row: FallbackRow | null) =>
    row?.try.some(({ variables }) => variables.has('namespace')) === true
  // The space cannot be part of an image or a namespace, so keys are unambiguous.
  const keyOf = (image: string, pod: PodContext, dependsOnNamespace: boolean) =>
    dependsOnNamespace ? `${image} ${templateNamespace(pod)}` : image
  const keyByRow = (image: string, pod: PodContext) => {
    const read = readImage(image, policy, pod)
    if (!read.ok) return image
    const { row, undecided } = selectRow(table, read.reference, pod)
    const rows = [row, ...undecided].map((each) => JSON.stringify(each?.name ?? null))
    return `${keyOf(image, pod, usesNamespace(row))} ${conditionHolds(when, pod)} ${rows.join()}`
  }
  if (table.index.hasConditions || when !== null) return keyByRow
  const dependsOnNamespace = table.rows.some(usesNamespace)
  return (image, pod) =>
    table.conflicts.index.holdsFor(pod)
      ? keyByRow(image, pod)
      : keyOf(image, pod, dependsOnNamespace)
}
