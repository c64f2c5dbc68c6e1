/**
 * Caches decisions as long as the probe outcomes behind them are fresh. Most pods of a cluster use an image that another
 * pod has just used, and then nothing has to be resolved (docs/adr/0005).
 */
import { LRUCache } from 'lru-cache'
import type { LazySignal } from './budget.ts'
import { type Decision, decisionOf, type ImageDecision, readImage } from './decide-by-row.ts'
import type { ResolveDependencies } from './probe-candidate.ts'
import { resolve } from './resolve.ts'
import type { ResolvePolicy } from './resolve-policy.ts'

export interface DecideRequest {
  readonly namespace: string
  readonly signal: LazySignal
}

/** Decides one image, given as the text in the pod. Synchronous if the decision is cached. */
export type Decide = (image: string, request: DecideRequest) => Decision | Promise<Decision>

/** More distinct images than a cluster starts within the 30 seconds that a tag is fresh. */
const maxEntries = 10_000

/** Returns a caching decide function for one config. A reloaded config needs a new one. */
export function createDecide(dependencies: ResolveDependencies, policy: ResolvePolicy): Decide {
  const cache = new LRUCache<string, ImageDecision>({ max: maxEntries })
  const dependsOnNamespace = policy.table.rows.some((row) =>
    row.try.some(({ variables }) => variables.has('namespace')),
  )
  return (image, { namespace, signal }) => {
    // The space cannot be part of an image, so keys are unambiguous.
    const key = dependsOnNamespace ? `${image} ${namespace}` : image
    const cached = cache.get(key)
    if (cached !== undefined && dependencies.now() < cached.resolution.freshUntil) return cached
    const read = readImage(image)
    if (!read.ok) return read
    const request = { reference: read.reference, namespace, signal: signal() }
    return resolve(dependencies, policy, request).then((resolution) => {
      const decision = decisionOf(image, resolution)
      if (dependencies.now() < resolution.freshUntil) cache.set(key, decision)
      return decision
    })
  }
}
