/** Decides what each image field of a pod becomes. Uses the network and the clock only through its parameters. */
import { mapMaybe, type MaybePromise } from '../../async/maybe-promise.ts'
import type { LazySignal } from '../resolve/budget.ts'
import type { Decide, Decision } from '../resolve/decision-cache.ts'
import type { Resolution } from '../resolve/resolution.ts'
import { type ImageRecord, readRecords, requestedImage } from './images-annotation.ts'
import { pullPolicyFor, type PullPolicyRule } from './pull-policy.ts'
import type { PullSecretRule } from './pull-secrets.ts'
import { changedSites, findSites, type Site } from './sites.ts'

/** The parts of the config for pods, besides the fallback table. */
export interface AdmissionPolicy {
  readonly pullPolicy: readonly PullPolicyRule[]
  readonly pullSecrets: readonly PullSecretRule[]
  readonly mode: 'enforce' | 'observe'
}

/** The part of an admission request that decides. */
export interface PodRequest {
  readonly operation: 'CREATE' | 'UPDATE' | 'other'
  /** `ephemeralcontainers` when `kubectl debug` adds a container; empty for the pod itself. */
  readonly subResource: string
  /** From the request and not from the object, which a tenant writes. */
  readonly namespace: string
  readonly object: unknown
  readonly oldObject: unknown
}

/** A site and its decision. */
export interface SiteDecision {
  readonly site: Site
  /** The image that was decided: the one of the site, or the one before an earlier review changed it. */
  readonly requested: string
  /** The image that the site gets. */
  readonly image: string
  readonly pullPolicy: string | undefined
  /** Null if the image stays because it does not parse or is injected later. */
  readonly resolution: Resolution | null
  /** Empty for `image: auto`. */
  readonly why: string
}

export interface SitesRequest {
  readonly request: PodRequest
  readonly policy: AdmissionPolicy
  readonly signal: LazySignal
}

/** The image of Istio gateways before Istio's injector replaces it. The next webhook round has the real image. */
export const autoImage = 'auto'

/** Decides every site that the request may change, each distinct image once. Synchronous if all decisions are cached. */
export function decideSites(
  decide: Decide,
  { request, policy, signal }: SitesRequest,
): MaybePromise<SiteDecision[]> {
  const sites =
    request.operation === 'CREATE'
      ? findSites(request.object)
      : changedSites(request.object, request.oldObject)
  const records = readRecords(request.object)
  const decided = new Map<string, MaybePromise<Decision>>()
  const decideOnce = (image: string): MaybePromise<Decision> => {
    const decision = decided.get(image) ?? decide(image, { namespace: request.namespace, signal })
    decided.set(image, decision)
    return decision
  }
  const decisions = sites.map((site): MaybePromise<SiteDecision> => {
    if (site.image === autoImage) return unchanged(site, '')
    const requested = requestedImage(records, site)
    return mapMaybe(decideOnce(requested), (decision) => {
      // A forged record may have an invalid image. The image of the site counts then.
      if (!decision.ok && requested !== site.image)
        return mapMaybe(decideOnce(site.image), (own) => decisionFor(site, site.image, own))
      return decisionFor(site, requested, decision)
    })
  })
  const ready = decisions.filter((each): each is SiteDecision => !(each instanceof Promise))
  return ready.length === decisions.length
    ? ready
    : Promise.all(decisions.map((each) => Promise.resolve(each)))

  function decisionFor(site: Site, requested: string, decision: Decision): SiteDecision {
    if (!decision.ok) return unchanged(site, decision.error)
    const { resolution, image, why } = decision
    const pullPolicy = mayChangePullPolicy(request)
      ? pullPolicyFor(policy.pullPolicy, resolution.chosen, site.pullPolicy)
      : site.pullPolicy
    return { site, requested, image, pullPolicy, resolution, why }
  }
}

function unchanged(site: Site, why: string): SiteDecision {
  const { image, pullPolicy } = site
  return { site, requested: image, image, pullPolicy, resolution: null, why }
}

/** On UPDATE only images are mutable, but a debug container is new (kubernetes, validation.go, ValidatePodUpdate). */
function mayChangePullPolicy({ operation, subResource }: PodRequest): boolean {
  return operation === 'CREATE' || subResource === 'ephemeralcontainers'
}

/**
 * Returns the records for the annotation, in the order of the sites: one for each site with a row or a pin. For an updated
 * pod, sites that were not decided now keep their earlier record. A new pod has no earlier records that could be true.
 */
export function recordsFor(request: PodRequest, decisions: readonly SiteDecision[]): ImageRecord[] {
  if (request.operation === 'CREATE') return decisions.flatMap(recordOf)
  const earlier = readRecords(request.object)
  const made = new Map(decisions.map((decision) => [decision.site.name, recordOf(decision)]))
  return findSites(request.object).flatMap(({ name }) => made.get(name) ?? earlier.get(name) ?? [])
}

function recordOf({ site, requested, image, resolution, why }: SiteDecision): ImageRecord[] {
  if (resolution === null || (resolution.row === null && !resolution.pinned)) return []
  return [{ site: site.name, from: requested, to: image, row: resolution.row, why }]
}
