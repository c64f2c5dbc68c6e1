/** The admission warnings for a site, and the message of a denial. */
import type { Reference } from '../reference/reference.ts'
import { failedSteps } from '../resolve/describe-resolution.ts'
import { isDenied } from '../resolve/resolution.ts'
import type { SiteDecision } from './decide-sites.ts'

/** Returns the admission warnings for one site. */
export function warningsFor({ requested, site, resolution, why }: SiteDecision): string[] {
  if (resolution === null)
    return why === '' ? [] : [`berth: ${site.name}: ${requested} is not a valid image: ${why}`]
  const isUnproved = ['none-found', 'first-unproved'].includes(resolution.reason)
  // No warning if no registry was probed: every pod with an image of an unlisted registry would get it.
  const isUnpinned =
    resolution.unpinned !== null &&
    resolution.steps.some(({ milliseconds }) => milliseconds !== null)
  const isWorthWarning = isUnproved || isUnpinned || failedSteps(resolution).length > 0
  return [...(isWorthWarning ? [why] : []), ...hostWarnings(resolution.original)].map(
    (warning) => `berth: ${requested}: ${warning}`,
  )
}

/** Returns warnings about a host that container runtimes read differently than people do. */
export function hostWarnings({ domain }: Reference): string[] {
  if (domain === '') return ['the part before the first / is not a valid host, so no row matches']
  const lower = domain.toLowerCase()
  return lower === domain ? [] : [`container runtimes do not treat ${domain} as ${lower}`]
}

/** Returns why a rule of the config denies the pod; null if none does. */
export function deniedBy(decisions: readonly SiteDecision[]): string | null {
  const reasons = decisions.flatMap(({ requested, resolution, why }) => {
    if (resolution === null || !isDenied(resolution)) return []
    const rule =
      resolution.reason === 'row-denies'
        ? `row ${resolution.row} has otherwise: deny`
        : 'pin has unresolved: deny'
    return [`${requested}: ${rule}; ${why}`]
  })
  if (reasons.length === 0) return null
  return `berth: ${reasons.join('; ')}; copy the image to a mirror, or change the rule`
}
