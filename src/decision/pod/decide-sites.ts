/** Decides what each image field of a pod becomes. Uses the network and the clock only through its parameters. */
import { type MaybePromise } from '../../async/maybe-promise.ts'
import type { PodContext } from '../fallback/pod-context.ts'
import type { LazySignal } from '../resolve/budget.ts'
import { formatReference } from '../reference/reference.ts'
import { autoImage, type Decision } from '../resolve/decide-by-row.ts'
import type { Decide } from '../resolve/decision-cache.ts'
import { isLeft, type Resolution } from '../resolve/resolution.ts'
import { type ImageRecord, readRecords, requestedImage } from './images-annotation.ts'
import { policyInUpdate, pullPolicyFor, type PullPolicyRule } from './pull-policy.ts'
import type { PullSecretRule } from './pull-secrets.ts'
import { createSettleSite } from './settled-sites.ts'
import { changedSitesOf, findSites, type Site, sitesByName, sitesOf } from './sites.ts'

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
  /** Null if the image stays because it does not parse, or because another webhook replaces it. */
  readonly resolution: Resolution | null
  /** Empty if another webhook replaces the image. */
  readonly why: string
  /** The rule that denies an image without a resolution; null if none does. */
  readonly invalidDeniedBy: string | null
  /** The record of the site, if it stays as it is; undefined if the decision makes a new one. */
  readonly keptRecord?: ImageRecord
}

export interface SitesRequest {
  readonly request: PodRequest
  readonly policy: AdmissionPolicy
  /** What rows can see of the pod. */
  readonly pod: PodContext
  readonly signal: LazySignal
}

/** Decides every site that the request may change, each distinct image once. Synchronous if all decisions are cached. */
export function decideSites(decide: Decide, input: SitesRequest): MaybePromise<SiteDecision[]> {
  return decideEach(decide, input, [...sitesToDecide(input)])
}

/** Decides the given sites, as `decideSites` does. */
export function decideEach(
  decide: Decide,
  input: SitesRequest,
  sites: readonly RequestedSite[],
): MaybePromise<SiteDecision[]> {
  const { pod, signal } = input
  const options = { pod, signal }
  const decided = new Map<string, MaybePromise<Decision>>()
  const decisions: MaybePromise<SiteDecision>[] = sites.map((each) => {
    const { requested, settled } = each
    if (settled !== null) return settled
    const decision = decided.get(requested) ?? decide(requested, options)
    decided.set(requested, decision)
    return decision instanceof Promise
      ? decision.then((made) => decisionFor(input, each, made))
      : decisionFor(input, each, decision)
  })
  return decisions.every((each): each is SiteDecision => !(each instanceof Promise))
    ? decisions
    : Promise.all(decisions.map((each) => Promise.resolve(each)))
}

/** A site, and the image to decide for it. */
export interface RequestedSite {
  readonly site: Site
  readonly requested: string
  /** The pull policy, unless a rule sets another one. */
  readonly pullPolicy: string | undefined
  /** The decision, if it needs neither a row nor a registry; null otherwise. */
  readonly settled: SiteDecision | null
}

/** Yields the sites that the request may change. */
export function* sitesToDecide(
  input: Pick<SitesRequest, 'request' | 'policy' | 'pod'>,
): Generator<RequestedSite> {
  const { operation, object, oldObject } = input.request
  const isNew = operation === 'CREATE'
  const records = readRecords(object)
  const oldSites = sitesByName(isNew ? undefined : oldObject)
  const settle = createSettleSite(input)
  for (const site of isNew ? sitesOf(object) : changedSitesOf(object, oldSites)) {
    const old = oldSites.get(site.name)
    const requested = requestedImage(records, site)
    const pullPolicy = policyInUpdate(input.policy.pullPolicy, { site, old }, input.pod)
    const settled = settle({ site, requested, pullPolicy, old })
    yield { site, requested, pullPolicy, settled }
  }
}

/** Returns what a decision means for one site. */
export function decisionFor(
  { request, policy, pod }: Pick<SitesRequest, 'request' | 'policy' | 'pod'>,
  { site, requested, pullPolicy: current }: RequestedSite,
  decision: Decision,
): SiteDecision {
  if (!decision.ok) {
    const { image } = site
    const { error: why, deniedBy: invalidDeniedBy } = decision
    const unchanged = { site, requested: image, image, pullPolicy: current, resolution: null }
    return { ...unchanged, why, invalidDeniedBy }
  }
  const { resolution, image, why } = decision
  const pullPolicy =
    mayChangePullPolicy(request) && !isLeft(resolution)
      ? (pullPolicyFor(policy.pullPolicy, resolution.chosen, pod) ?? current)
      : current
  // The next review does not believe a record of a placeholder that Berth has replaced.
  const isReplaced = requested === autoImage && image !== autoImage
  return {
    site,
    requested: isReplaced ? formatReference(resolution.original) : requested,
    image,
    pullPolicy,
    resolution,
    why,
    invalidDeniedBy: null,
  }
}

/** On UPDATE only images are mutable, but a debug container is new (kubernetes, validation.go, ValidatePodUpdate). */
function mayChangePullPolicy({ operation, subResource }: PodRequest): boolean {
  return operation === 'CREATE' || subResource === 'ephemeralcontainers'
}

/**
 * Returns the records for the annotation, in the order of the sites: one for each site with a row or a pin, or that is left
 * unchanged on purpose. For an updated pod, sites that were not decided now keep their earlier record. A new pod cannot have
 * true earlier records.
 */
export function recordsFor(request: PodRequest, decisions: readonly SiteDecision[]): ImageRecord[] {
  if (request.operation === 'CREATE') return decisions.flatMap(recordOf)
  const earlier = readRecords(request.object)
  const made = new Map(decisions.map((decision) => [decision.site.name, recordOf(decision)]))
  return findSites(request.object).flatMap(({ name }) => made.get(name) ?? earlier.get(name) ?? [])
}

function recordOf(decision: SiteDecision): ImageRecord[] {
  const { site, requested, image, resolution, why, keptRecord } = decision
  if (keptRecord !== undefined) return [keptRecord]
  if (resolution === null) return []
  if (resolution.row === null && !resolution.pinned && !isLeft(resolution)) return []
  return [{ site: site.name, from: requested, to: image, row: resolution.row, why }]
}
