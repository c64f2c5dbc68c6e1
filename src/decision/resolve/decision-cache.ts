/**
 * Caches decisions as long as the probe outcomes behind them are fresh. Most pods of a cluster use an image that another
 * pod has just used, and then nothing has to be resolved (docs/adr/0005).
 */
import { LRUCache } from 'lru-cache'
import { parseReference } from '../reference/parse.ts'
import { formatReference } from '../reference/reference.ts'
import type { LazySignal } from './budget.ts'
import { describeResolution } from './describe-resolution.ts'
import type { ResolveDependencies } from './probe-candidate.ts'
import type { Resolution } from './resolution.ts'
import { resolve } from './resolve.ts'
import type { ResolvePolicy } from './resolve-policy.ts'

/** What a pod's image becomes. Frozen, because reviews share it. */
export type Decision =
  | {
      readonly ok: true
      readonly resolution: Resolution
      readonly image: string
      readonly why: string
    }
  /** The image does not parse; it stays as it is. */
  | { readonly ok: false; readonly error: string }

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
  const cache = new LRUCache<string, Decision & { readonly ok: true }>({ max: maxEntries })
  const dependsOnNamespace = policy.table.rows.some((row) =>
    row.try.some(({ variables }) => variables.has('namespace')),
  )
  return (image, { namespace, signal }) => {
    // The space cannot be part of an image, so keys are unambiguous.
    const key = dependsOnNamespace ? `${image} ${namespace}` : image
    const cached = cache.get(key)
    if (cached !== undefined && dependencies.now() < cached.resolution.freshUntil) return cached
    const parsed = parseReference(image)
    if (!parsed.ok) return { ok: false, error: parsed.message }
    const request = { reference: parsed.reference, namespace, signal: signal() }
    return resolve(dependencies, policy, request).then((resolution) => {
      const decision = Object.freeze({
        ok: true as const,
        resolution,
        image: resolution.changed ? formatReference(resolution.chosen) : image,
        why: describeResolution(resolution),
      })
      if (dependencies.now() < resolution.freshUntil) cache.set(key, decision)
      return decision
    })
  }
}
