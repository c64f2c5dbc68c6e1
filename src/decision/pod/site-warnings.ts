/** What people are told of a site: admission warnings, and the message of a refusal. */
import { failedSteps } from '../resolve/describe-resolution.ts'
import { isDenied } from '../resolve/resolution.ts'
import type { SiteDecision } from './decide-sites.ts'

/** What a person is warned of about one site. */
export function warningsFor({ requested, site, resolution, why }: SiteDecision): string[] {
  if (resolution === null)
    return why === '' ? [] : [`berth: ${site.name}: ${requested} is no image name: ${why}`]
  const { domain } = resolution.original
  const doubtful = ['none-found', 'first-unproved'].includes(resolution.reason)
  // Silent about a registry that is none of ours to ask: it would be said of every such pod.
  const notPinned =
    resolution.unpinned !== null &&
    resolution.steps.some(({ milliseconds }) => milliseconds !== null)
  const lines: string[] = []
  if (doubtful || notPinned || failedSteps(resolution).length > 0)
    lines.push(`berth: ${requested}: ${why}`)
  if (domain === '') lines.push(`berth: ${requested}: its host is no host name, so no row applies`)
  else if (domain.toLowerCase() !== domain)
    lines.push(`berth: ${requested}: ${domain} is not ${domain.toLowerCase()} to a runtime`)
  return lines
}

/** Why a rule of the configuration refuses the pod; null when none does. */
export function deniedBy(decisions: readonly SiteDecision[]): string | null {
  const reasons = decisions.flatMap(({ requested, resolution, why }) => {
    if (resolution === null || !isDenied(resolution)) return []
    const rule =
      resolution.reason === 'row-denies'
        ? `row ${resolution.row} says otherwise: deny`
        : 'pin says unresolved: deny'
    return [`${requested}: ${rule}; ${why}`]
  })
  if (reasons.length === 0) return null
  return `berth: ${reasons.join('; ')}; mirror the image, or change the rule`
}
