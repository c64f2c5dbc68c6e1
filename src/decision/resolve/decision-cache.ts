/**
 * What is decided for an image, kept as long as the answers that it rests on are fresh: most pods of a cluster ask for an
 * image that another pod has just asked for, and their decision is looked up and not made.
 */
import { LRUCache } from 'lru-cache'
import { parseReference } from '../reference/parse.ts'
import { formatReference } from '../reference/reference.ts'
import type { LazySignal } from './budget.ts'
import type { ResolvePolicy, Resolution } from './resolution.ts'
import { resolve, type ResolveDependencies } from './resolve.ts'
import { describeResolution } from './describe-resolution.ts'

/** A decision in the form in which it is used: frozen, and shared between reviews. */
export type Decision =
  | {
      readonly ok: true
      readonly resolution: Resolution
      readonly image: string
      readonly why: string
    }
  /** The name does not parse; it stays as it is. */
  | { readonly ok: false; readonly error: string }

export interface DecideRequest {
  readonly namespace: string
  readonly signal: LazySignal
}

/** Decides one image, by the text in the pod. Synchronous when nothing has to be asked. */
export type Decide = (image: string, request: DecideRequest) => Decision | Promise<Decision>

/** More distinct images than a cluster starts within the half minute that an answer is fresh. */
const maxEntries = 10_000

/** Makes the function for one configuration: another configuration decides otherwise, and gets one of its own. */
export function createDecide(dependencies: ResolveDependencies, policy: ResolvePolicy): Decide {
  const kept = new LRUCache<string, Decision & { readonly ok: true }>({ max: maxEntries })
  const isByNamespace = policy.table.rows.some((row) =>
    row.try.some(({ variables }) => variables.has('namespace')),
  )
  return (image, request) => {
    // A space is part of no image name, so the two cannot run together.
    const key = isByNamespace ? `${image} ${request.namespace}` : image
    const known = kept.get(key)
    if (known !== undefined && dependencies.now() < known.resolution.freshUntil) return known
    const parsed = parseReference(image)
    if (!parsed.ok) return { ok: false, error: parsed.message }
    const { namespace } = request
    const signal = request.signal()
    return resolve(dependencies, policy, { reference: parsed.reference, namespace, signal }).then(
      (resolution) => {
        const decision = Object.freeze({
          ok: true as const,
          resolution,
          image: resolution.changed ? formatReference(resolution.chosen) : image,
          why: describeResolution(resolution),
        })
        if (dependencies.now() < resolution.freshUntil) kept.set(key, decision)
        return decision
      },
    )
  }
}
