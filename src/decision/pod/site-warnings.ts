/** The admission warnings for a site, and the message of a denial. */
import { cutText } from '../../text/cut-text.ts'
import type { PodContext } from '../fallback/pod-context.ts'
import { canonicalHost, hubHost } from '../fallback/registry-aliases.ts'
import type { Reference } from '../reference/reference.ts'
import { pinDenial } from '../resolve/decide-by-row.ts'
import { failedSteps, noHost } from '../resolve/describe-resolution.ts'
import { isDenied, isLeft } from '../resolve/resolution.ts'
import type { SiteDecision } from './decide-sites.ts'

/** A warning has 120 characters, which must include the reason. */
const maxImageLength = 60
const maxInvalidLength = 40

/** Returns the admission warnings for one site. */
export function warningsFor({ requested, site, resolution, why }: SiteDecision): string[] {
  if (resolution === null) {
    const [name, invalid] = [site.name, requested].map((each) => cutText(each, maxInvalidLength))
    return why === '' ? [] : [`berth: ${name}: ${invalid} is not a valid image: ${why}`]
  }
  const image = cutText(requested, maxImageLength)
  const isUnproved = ['none-found', 'first-unproved'].includes(resolution.reason)
  // No warning if no registry was probed: every pod with an image of an unlisted registry would get it.
  const isUnpinned =
    resolution.unpinned !== null &&
    resolution.steps.some(({ milliseconds }) => milliseconds !== null)
  const isWorthWarning = isUnproved || isUnpinned || failedSteps(resolution).length > 0
  // Another host is in the pod now.
  const isMoved = resolution.chosen.domain !== resolution.original.domain
  const warnings = isMoved ? [] : hostWarnings(resolution.original)
  return [...(isWorthWarning ? [why] : []), ...warnings].map(
    (warning) => `berth: ${image}: ${warning}`,
  )
}

/** The label with which a namespace opts out. On a pod, only a row gives it an effect. */
const optOutLabel = 'berth.dev/rewrite'

/** Returns a warning for a pod with the label of a namespace that opts out, if no row leaves the images of the pod unchanged. */
export function optOutWarnings(
  { labels }: PodContext,
  decisions: readonly SiteDecision[],
): string[] {
  if (labels?.[optOutLabel] !== 'disabled') return []
  const isRewritten = decisions.some(
    ({ resolution }) => resolution !== null && resolution.reason !== 'kept' && !isLeft(resolution),
  )
  if (!isRewritten) return []
  return [
    `berth: label ${optOutLabel}: disabled has no effect on a pod unless a row with leave: true selects it`,
  ]
}

/** Returns warnings about a host that container runtimes read differently from people and from the rows of the table. */
export function hostWarnings({ domain }: Reference): string[] {
  if (domain === '') return [`${noHost}, so no row matches`]
  const canonical = canonicalHost(domain)
  return canonical === hubHost(domain)
    ? []
    : [`container runtimes do not treat ${cutText(domain, maxImageLength)} as ${canonical}`]
}

/** Returns true if a rule of the config denies the pod because of this site. */
export function isSiteDenied({ resolution, invalidDeniedBy }: SiteDecision): boolean {
  return resolution === null ? invalidDeniedBy !== null : isDenied(resolution)
}

/** Enough to see what the images have in common. The message is part of an HTTP status. */
const maxReasons = 5
const maxReasonLength = 1_000

/** Returns why a rule of the config denies the pod; null if none does. */
export function deniedBy(decisions: readonly SiteDecision[]): string | null {
  const denied = decisions.filter(isSiteDenied)
  if (denied.length === 0) return null
  const reasons = denied
    .slice(0, maxReasons)
    .map((each) => cutText(reasonOf(each), maxReasonLength))
  const more = denied.length - reasons.length
  const all = more === 0 ? reasons : [...reasons, `${more} more image fields`]
  return `berth: ${all.join('; ')}; copy the image to a mirror, or change the rule`
}

function reasonOf({ requested, resolution, why, invalidDeniedBy }: SiteDecision): string {
  const image = cutText(requested)
  if (resolution === null) return `${image}: not a valid reference: ${why}; ${invalidDeniedBy}`
  const rule =
    resolution.reason === 'row-denies' ? `row ${resolution.row} has otherwise: deny` : pinDenial
  return `${image}: ${rule}; ${why}`
}
