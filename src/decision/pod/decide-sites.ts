/** One pod: from the sites in it to what each becomes. Neither the network nor the clock is used but through what is passed in. */
import { pullPolicyFor, type PullPolicyRule } from './pull-policy.ts'
import type { PullSecretRule } from './pull-secrets.ts'
import { changedSites, findSites, type Site } from './sites.ts'
import type { Decide, Decision } from '../resolve/decision-cache.ts'
import type { LazySignal } from '../resolve/budget.ts'
import type { Resolution } from '../resolve/resolution.ts'
import { requestedImage, type ImageRecord, readRecords } from './images-annotation.ts'
import { mapMaybe, type MaybePromise } from '../../async/maybe-promise.ts'

/** What the configuration says of pods, beside where their images come from. */
export interface AdmissionPolicy {
  readonly pullPolicy: readonly PullPolicyRule[]
  readonly pullSecrets: readonly PullSecretRule[]
  readonly mode: 'enforce' | 'observe'
}

/** The part of an admission request that a decision depends on. */
export interface PodRequest {
  readonly operation: 'CREATE' | 'UPDATE' | 'other'
  /** `ephemeralcontainers` when `kubectl debug` adds one; empty for the pod itself. */
  readonly subResource: string
  /** From the request, never from the object, which a tenant writes. */
  readonly namespace: string
  readonly object: unknown
  readonly oldObject: unknown
}

/** A site and what was decided about it. */
export interface SiteDecision {
  readonly site: Site
  /** The image that was decided on: the site's own, or what it was before an earlier look. */
  readonly requested: string
  /** What the site is to hold. */
  readonly image: string
  readonly pullPolicy: string | undefined
  readonly resolution: Resolution | null
  /** Why it is so; empty for `image: auto`, which another webhook fills in. */
  readonly why: string
}

export interface SitesRequest {
  readonly request: PodRequest
  readonly policy: AdmissionPolicy
  readonly signal: LazySignal
}

/** Istio's gateways ask for this image and get the proxy's own put in by its injector; on the next round it is a name. */
export const autoImage = 'auto'

/** Decides every site that this request may change, each distinct image once. Synchronous when nothing has to be asked. */
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
  const once = (image: string): MaybePromise<Decision> => {
    const known = decided.get(image)
    if (known !== undefined) return known
    const decision = decide(image, {
      namespace: request.namespace,
      signal,
    })
    decided.set(image, decision)
    return decision
  }
  const decisions = sites.map((site) => {
    if (site.image === autoImage) return leave(site, '')
    const claimed = requestedImage(records, site)
    return mapMaybe(once(claimed), (decision) => {
      if (decision.ok) return apply(site, claimed, decision)
      // A claim that is no name claims nothing.
      return claimed === site.image
        ? leave(site, decision.error)
        : mapMaybe(once(site.image), (own) =>
            own.ok ? apply(site, site.image, own) : leave(site, own.error),
          )
    })
  })
  const known = decisions.filter((each): each is SiteDecision => !(each instanceof Promise))
  return known.length === decisions.length
    ? known
    : Promise.all(decisions.map((each) => Promise.resolve(each)))

  function apply(
    site: Site,
    requested: string,
    { resolution, image, why }: Decision & { ok: true },
  ): SiteDecision {
    const pullPolicy = mayChangePolicy(request)
      ? pullPolicyFor(policy.pullPolicy, resolution.chosen, site.pullPolicy)
      : site.pullPolicy
    return { site, requested, image, pullPolicy, resolution, why }
  }
}

function leave(site: Site, why: string): SiteDecision {
  return {
    site,
    requested: site.image,
    image: site.image,
    pullPolicy: site.pullPolicy,
    resolution: null,
    why,
  }
}

/** Of a running container only the image can be changed; a debug container is new (kubernetes, validation.go, ValidatePodUpdate). */
function mayChangePolicy({ operation, subResource }: PodRequest): boolean {
  return operation === 'CREATE' || subResource === 'ephemeralcontainers'
}

/**
 * The records for the annotation, in the order of the sites: those that a row or a pin had a say in. Of an updated pod
 * also those of the sites that were not looked at now; a new pod has none that would be true.
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
