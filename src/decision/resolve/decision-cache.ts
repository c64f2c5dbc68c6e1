/**
 * Caches decisions as long as the probe outcomes behind them are fresh. Most pods of a cluster use an image that another
 * pod has just used, and then nothing has to be resolved (docs/adr/0005).
 */
import { LRUCache } from 'lru-cache'
import type { PodContext } from '../fallback/pod-context.ts'
import { canonicalHost, type IsPlainHttp } from '../fallback/registry-aliases.ts'
import type { LazySignal } from './budget.ts'
import { type Decision, decisionOf, type ImageDecision, readImage } from './decide-by-row.ts'
import { createDecisionKey } from './decision-key.ts'
import type { ResolveDependencies } from './probe-candidate.ts'
import type { RegistryLiveness } from './registry-liveness.ts'
import type { Resolution } from './resolution.ts'
import { resolve, type TimedRequest } from './resolve.ts'
import type { ResolvePolicy } from './resolve-policy.ts'

export interface DecideRequest {
  readonly pod: PodContext
  readonly signal: LazySignal
  /** The digest that other pods claim to run, to decide the image with it. */
  readonly claimedDigest?: string
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

/** A query takes much less than this. Pods are created more often while an image is in use. */
const refreshAheadMs = 5_000

/** Milliseconds for a decision that no review waits for. */
const refreshTimeoutMs = 2_500

/** Where the image of a decision was found, and until when the answer is fresh. */
interface DecisionSource {
  readonly host: string
  readonly freshUntil: number
}

interface CachedDecision {
  readonly decision: ImageDecision
  /** Null if the image was not found by a probe. */
  readonly source: DecisionSource | null
}

/**
 * Returns a caching decide function for one config. A reloaded config needs a new one. It decides images again in the background
 * shortly before their answers expire, and as often as their registry has to prove that it is live.
 */
export function createDecide(dependencies: ResolveDependencies, policy: ResolvePolicy): Decide {
  const { now, liveness = alwaysLive } = dependencies
  const cache = new LRUCache<string, CachedDecision>({
    max: maxEntries,
    maxSize: maxBytes,
    sizeCalculation: ({ decision }, key) => decisionBytes(decision, key),
  })
  const decisionKey = createDecisionKey(policy)
  /** The keys and registries that are being refreshed. */
  const refreshing = new Set<string>()

  const isUsable = ({ decision: { resolution }, source }: CachedDecision, time: number) =>
    time < resolution.freshUntil && (source === null || liveness.isLive(source.host, time))

  const resolveAndStore = async (key: string, image: string, request: TimedRequest) => {
    const decision = decisionOf(image, await resolve(dependencies, policy, request))
    if (now() < decision.resolution.freshUntil)
      cache.set(key, { decision, source: sourceOf(decision, policy.table.isPlainHttp) })
    else cache.delete(key)
    return decision
  }

  const isRefreshDue = ({ host, freshUntil }: DecisionSource, time: number) =>
    freshUntil - time < refreshAheadMs || liveness.isLookDue(host, time)

  const refresh = (
    key: string,
    { host, freshUntil }: DecisionSource,
    image: string,
    { pod, claimedDigest }: DecideRequest,
  ) => {
    const expiresSoon = freshUntil - now() < refreshAheadMs
    // One query for one image is enough to check a registry.
    const id = expiresSoon ? key : host
    const read = readImage(image, policy, pod)
    if (refreshing.has(id) || !read.ok) return
    refreshing.add(id)
    const signal = AbortSignal.timeout(refreshTimeoutMs)
    const request = {
      ...claimOf(claimedDigest),
      reference: read.reference,
      pod,
      signal,
      refreshHost: host,
    }
    void resolveAndStore(key, image, request)
      // A bug: a review that meets it reports it.
      .catch(() => cache.delete(key))
      .finally(() => refreshing.delete(id))
  }

  return (image, request) => {
    const { pod, signal, claimedDigest } = request
    const ownKey = decisionKey(image, pod)
    // A namespace does not begin with @.
    const key = claimedDigest === undefined ? ownKey : `${ownKey} @${claimedDigest}`
    // An image with a space is not valid, and could be the key that another image has for other pods.
    const cached = image.includes(' ') ? undefined : cache.get(key)
    const time = now()
    if (cached !== undefined && isUsable(cached, time)) {
      const { decision, source } = cached
      if (source !== null && isRefreshDue(source, time)) refresh(key, source, image, request)
      return decision
    }
    const read = readImage(image, policy, pod)
    if (!read.ok) return read
    return resolveAndStore(key, image, {
      ...claimOf(claimedDigest),
      reference: read.reference,
      pod,
      signal: signal(),
    })
  }
}

function claimOf(claimedDigest: string | undefined): { readonly claimedDigest?: string } {
  return claimedDigest === undefined ? {} : { claimedDigest }
}

/** Returns about how many bytes an entry of the cache takes. */
function decisionBytes({ image, why, resolution }: ImageDecision, key: string): number {
  const { steps, original, chosen } = resolution
  const names = [key, image, why, original.domain, original.path, chosen.domain, chosen.path]
  return steps.reduce(
    // The reference of a candidate repeats its image.
    (bytes, { candidate, detail }) =>
      bytes + stepOverheadBytes + 2 * candidate.image.length + (detail?.length ?? 0),
    names.reduce(
      (bytes, name) => bytes + name.length,
      roundsOf(resolution) * decisionOverheadBytes,
    ),
  )
}

/** Each round of a followed table has a resolution, which shares its steps with the result. */
function roundsOf({ followed }: Resolution): number {
  return followed === undefined ? 1 : roundsOf(followed.before) + 2
}

/** Returns the steps of the row whose candidate was taken last. */
function decidingSteps({ steps, followed }: Resolution): Resolution['steps'] {
  if (followed === undefined) return steps
  return followed.isTaken ? followed.last.steps : decidingSteps(followed.before)
}

const alwaysLive: Pick<RegistryLiveness, 'isLive' | 'isLookDue'> = {
  isLive: () => true,
  isLookDue: () => false,
}

function sourceOf({ resolution }: ImageDecision, isPlainHttp: IsPlainHttp): DecisionSource | null {
  const step = decidingSteps(resolution).find(({ outcome }) => outcome === 'found')
  const host = step?.candidate.reference?.domain
  if (step === undefined || host === undefined) return null
  return { host: canonicalHost(host, isPlainHttp), freshUntil: step.freshUntil }
}
