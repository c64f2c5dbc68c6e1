/** Finds the image fields of a pod that keep their image, whatever rows and registries say now. */
import { parseReference } from '../reference/parse.ts'
import { autoImage } from '../resolve/decide-by-row.ts'
import { describeResolution } from '../resolve/describe-resolution.ts'
import { resolveKept, resolveNeverPulled } from '../resolve/resolve.ts'
import type { SiteDecision, SitesRequest } from './decide-sites.ts'
import { type ImageRecord, readRecords } from './images-annotation.ts'
import { pullPolicyFor } from './pull-policy.ts'
import type { Site } from './sites.ts'

/** A site, as it is in the request and as it was before. */
interface SiteToSettle {
  readonly site: Site
  /** The image to decide: the one of the site, or the `from` of its record. */
  readonly requested: string
  readonly pullPolicy: string | undefined
  /** The site before an update; undefined for a new pod or a new container. */
  readonly old: Site | undefined
}

/** Returns the decision for a site that neither a row nor a registry decides; null for any other site. */
export type SettleSite = (each: SiteToSettle) => SiteDecision | null

type SettleInput = Pick<SitesRequest, 'request' | 'policy' | 'pod'>

/** Returns the function for one request. */
export function createSettleSite(input: SettleInput): SettleSite {
  const { operation, oldObject } = input.request
  const oldRecords = operation === 'CREATE' ? new Map() : readRecords(oldObject)
  return (each) =>
    settleKept(each, oldRecords.get(each.site.name)) ?? settleNeverPulled(input, each)
}

/**
 * Settles a site of an updated pod that requests the image from which Berth made the running one: a manifest is applied
 * again, or a copy of a pod with its records. A new decision could differ, and would restart the container. A forged record
 * keeps an image that already runs (docs/adr/0003).
 */
function settleKept(
  { site, requested, pullPolicy, old }: SiteToSettle,
  record: ImageRecord | undefined,
): SiteDecision | null {
  if (old === undefined || record?.from !== requested || record.to !== old.image) return null
  const original = parseReference(requested)
  const current = parseReference(old.image)
  if (!original.ok || !current.ok || requested === autoImage) return null
  const resolution = resolveKept(original.reference, current.reference)
  const why = describeResolution(resolution)
  const decision = { site, requested, image: old.image, pullPolicy, resolution, why }
  return { ...decision, invalidDeniedBy: null, keptRecord: record }
}

/**
 * Settles a site with the pull policy Never: the node has the image under this name, and nothing pulls it. If a rule of the
 * config sets this policy for the image, or for one of its earlier images, an earlier review has set it.
 */
function settleNeverPulled(
  { policy, pod }: SettleInput,
  { site, requested, pullPolicy, old }: SiteToSettle,
): SiteDecision | null {
  const { image } = site
  if (pullPolicy !== 'Never') return null
  const parsed = parseReference(image)
  if (!parsed.ok) return null
  const isSetByRule = [image, requested, old?.image ?? image].some((each) => {
    const read = parseReference(each)
    return read.ok && pullPolicyFor(policy.pullPolicy, read.reference, pod) === 'Never'
  })
  if (isSetByRule) return null
  const resolution = resolveNeverPulled(parsed.reference)
  const why = describeResolution(resolution)
  return { site, requested: image, image, pullPolicy, resolution, why, invalidDeniedBy: null }
}
