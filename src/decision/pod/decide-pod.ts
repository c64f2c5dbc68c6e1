/**
 * Decides the image fields of a pod of any size. A small pod is decided at once. A larger one is decided in turns, and its
 * fields beyond the limits are decided by their row alone, without a probe.
 */
import type { Lane } from '../../async/lane.ts'
import { createLimit } from '../../async/limit.ts'
import { mapMaybe, type MaybePromise } from '../../async/maybe-promise.ts'
import type { DecideByRow, Decision } from '../resolve/decide-by-row.ts'
import type { Decide } from '../resolve/decision-cache.ts'
import { outOfTime, type ProbeSubstitute } from '../resolve/resolve.ts'
import {
  decideEach,
  decisionFor,
  type RequestedSite,
  type SiteDecision,
  type SitesRequest,
  sitesToDecide,
} from './decide-sites.ts'
import { isSiteDenied } from './site-warnings.ts'

/** Distinct images of one pod that may be probed: more than any real pod has. */
export const maxImages = 256

/** Image fields of one pod that are decided with probes. Each may get a warning and a record. */
export const maxFields = 1_024

/**
 * Image fields beyond the limits that may change. An object in etcd has at most 1.5 MiB, and a container takes 100 bytes of
 * them, so the API server could not store a pod with more. Each change takes some hundred bytes until the patch is sent.
 */
export const maxChanges = 16_384

/** Image fields that are decided without turns if their decisions are cached: a tenth of a millisecond of work. */
const maxFieldsAtOnce = 100

/** Images of these that may have no cached decision: as much work as one turn. */
const maxUncachedAtOnce = 32

/** Images of one pod that are decided at the same time: as many as its namespace may have requests to registries. */
const parallelImages = 32

const overLimit: ProbeSubstitute = {
  outcome: 'skipped',
  detail: `not probed: the pod has more than ${maxImages} images or ${maxFields} image fields`,
}

export interface PodDecider {
  readonly decide: Decide
  readonly decideByRow: DecideByRow
}

export interface PodDecision {
  /** In the order of the sites. For a pod over the limits, those within them. */
  readonly decisions: readonly SiteDecision[]
  /** Null for a pod within the limits. */
  readonly rest: RestDecision | null
}

/** What becomes of the sites beyond the limits. */
export interface RestDecision {
  readonly fields: number
  /** The sites that change. */
  readonly changes: readonly SiteChange[]
  /** The first site that a rule denies; null if none does. */
  readonly denied: SiteDecision | null
  /** True if more than `maxChanges` of them would change. The pod is denied then. */
  readonly isTooLarge: boolean
}

export type SiteChange = Pick<SiteDecision, 'site' | 'image' | 'pullPolicy'>

/** Decides every site that the request may change. Synchronous if there are few sites and all decisions are cached. */
export function decidePod(
  decider: PodDecider,
  input: SitesRequest,
  lane: Lane,
): MaybePromise<PodDecision> {
  const sites = sitesToDecide(input)
  const first: RequestedSite[] = []
  for (const site of sites) {
    first.push(site)
    if (first.length > maxFieldsAtOnce) return decideLargePod(decider, input, lane)
  }
  let { decide } = decider
  if (first.length > maxUncachedAtOnce) {
    const begun = beginDecisions(decide, input, first)
    ;({ decide } = begun)
    if (begun.isLarge) return decideLargePod({ ...decider, decide }, input, lane)
  }
  return mapMaybe(decideEach(decide, input, first), (decisions) => ({ decisions, rest: null }))
}

/**
 * Begins to decide images, until too many of them have no cached decision. Returns whether that is so, and a function that
 * decides, which continues what has begun.
 */
function beginDecisions(
  decide: Decide,
  { pod, signal }: SitesRequest,
  sites: readonly RequestedSite[],
): { readonly decide: Decide; readonly isLarge: boolean } {
  const begun = new Map<string, ReturnType<Decide>>()
  const continued: Decide = (image, request) => begun.get(image) ?? decide(image, request)
  let uncached = 0
  for (const { requested, settled } of sites) {
    if (settled !== null || begun.has(requested)) continue
    const decision = decide(requested, { pod, signal })
    begun.set(requested, decision)
    if (!(decision instanceof Promise)) continue
    // After the deadline no one waits for it.
    decision.catch(() => undefined)
    uncached += 1
    if (uncached > maxUncachedAtOnce) return { decide: continued, isLarge: true }
  }
  return { decide: continued, isLarge: false }
}

async function decideLargePod(
  decider: PodDecider,
  input: SitesRequest,
  lane: Lane,
): Promise<PodDecision> {
  const selection = await selectSites(decider.decideByRow, input, lane)
  const { fields, changes, denied, isTooLarge } = selection.rest
  // Whatever the registries answer for the other images, the pod is denied.
  if (denied !== null || isTooLarge)
    return { decisions: [], rest: { fields, changes: [], denied, isTooLarge } }
  const decided = await decideImages(decider, { ...input, images: selection.images }, lane)
  const decisionAt = (each: RequestedSite) =>
    each.settled ?? decisionFor(input, each, decided.get(each.requested) as Decision)
  const decisions = await mapInTurns(selection.sites, decisionAt, lane)
  const repeated = await mapInTurns(selection.repeated, (each) => changeOf(decisionAt(each)), lane)
  const rest = { fields, changes: [...changes, ...repeated.flat()], denied, isTooLarge }
  // The patch is built in another turn.
  await lane.next()
  return { decisions, rest: fields === 0 ? null : rest }
}

interface SiteSelection {
  /** The sites within the limits. */
  readonly sites: RequestedSite[]
  /** The distinct images of `sites`, without those of settled sites. */
  readonly images: Set<string>
  /** The sites beyond the limits that have one of `images`. They get the decision for it. */
  readonly repeated: RequestedSite[]
  readonly rest: {
    /** The number of sites beyond the limits, `repeated` included. */
    fields: number
    readonly changes: SiteChange[]
    denied: SiteDecision | null
    isTooLarge: boolean
  }
}

/** Divides the sites by the limits. Decides those beyond the limits by their row, until a rule denies one. */
async function selectSites(
  decideByRow: DecideByRow,
  input: SitesRequest,
  lane: Lane,
): Promise<SiteSelection> {
  await lane.next()
  const { pod } = input
  const selection: SiteSelection = {
    sites: [],
    images: new Set(),
    repeated: [],
    rest: { fields: 0, changes: [], denied: null, isTooLarge: false },
  }
  const { images, rest } = selection
  for (const each of sitesToDecide(input)) {
    if (lane.isOver()) await lane.next()
    const { requested, settled } = each
    const isKnown = settled !== null || images.has(requested)
    if (selection.sites.length < maxFields && (isKnown || images.size < maxImages)) {
      if (settled === null) images.add(requested)
      selection.sites.push(each)
      continue
    }
    rest.fields += 1
    // A settled site does not change.
    if (rest.denied !== null || settled !== null) continue
    rest.isTooLarge ||= rest.changes.length + selection.repeated.length >= maxChanges
    if (rest.isTooLarge) continue
    if (isKnown) {
      selection.repeated.push(each)
      continue
    }
    const byRow = decideByRow(requested, { pod, substitute: overLimit })
    const decision = decisionFor(input, each, byRow)
    if (isSiteDenied(decision)) rest.denied = decision
    else rest.changes.push(...changeOf(decision))
  }
  return selection
}

/** Returns the first site that a rule denies if no registry answers; null if none does. For a review without time left. */
export async function findDeniedByRow(
  decideByRow: DecideByRow,
  input: SitesRequest,
  lane: Lane,
): Promise<SiteDecision | null> {
  const { pod } = input
  for (const each of sitesToDecide(input)) {
    if (lane.isOver()) await lane.next()
    if (each.settled !== null) continue
    const byRow = decideByRow(each.requested, { pod, substitute: outOfTime })
    const decision = decisionFor(input, each, byRow)
    if (isSiteDenied(decision)) return decision
  }
  return null
}

async function decideImages(
  { decide, decideByRow }: PodDecider,
  { pod, signal, images }: SitesRequest & { readonly images: ReadonlySet<string> },
  lane: Lane,
): Promise<ReadonlyMap<string, Decision>> {
  const decided = new Map<string, Decision>()
  const limit = createLimit(parallelImages)
  const decideImage = async (image: string) => {
    if (lane.isOver()) await lane.next()
    const decision = signal().aborted
      ? decideByRow(image, { pod, substitute: outOfTime })
      : await decide(image, { pod, signal })
    decided.set(image, decision)
  }
  await Promise.all([...images].map((image) => limit(() => decideImage(image))))
  return decided
}

async function mapInTurns<Item, Result>(
  items: readonly Item[],
  map: (item: Item) => Result,
  lane: Lane,
): Promise<Result[]> {
  const results: Result[] = []
  for (const item of items) {
    if (lane.isOver()) await lane.next()
    results.push(map(item))
  }
  return results
}

/** Returns only what the patch needs, because a pod may have thousands of these sites. */
function changeOf({ site, image, pullPolicy }: SiteDecision): SiteChange[] {
  const hasChanged = image !== site.image || pullPolicy !== site.pullPolicy
  return hasChanged ? [{ site, image, pullPolicy }] : []
}
