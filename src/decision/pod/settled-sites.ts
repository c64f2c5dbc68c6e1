/** Finds the image fields of a pod that stay as they are, whatever rows and registries say. */
import { parseReference } from '../reference/parse.ts'
import { autoImage } from '../resolve/decide-by-row.ts'
import { describeResolution } from '../resolve/describe-resolution.ts'
import { resolveNeverPulled } from '../resolve/resolve.ts'
import type { SiteDecision, SitesRequest } from './decide-sites.ts'
import { pullPolicyFor } from './pull-policy.ts'
import type { Site } from './sites.ts'

/** Returns the decision for a site that neither a row nor a registry decides; null for any other site. */
export type SettleSite = (site: Site) => SiteDecision | null

type SettleInput = Pick<SitesRequest, 'policy' | 'pod'>

/** Returns the function for one request. `oldImages` has the images of the pod before an update, by the name of the site. */
export function createSettleSite(
  input: SettleInput,
  oldImages: ReadonlyMap<string, string>,
): SettleSite {
  return (site) => settleNeverPulled(input, site, oldImages.get(site.name))
}

/**
 * Settles a site with the pull policy Never: the node has the image under this name, and nothing pulls it. If a rule of the
 * config sets this policy for the image, or for the image before an update, an earlier review has set it.
 */
function settleNeverPulled(
  { policy, pod }: SettleInput,
  site: Site,
  oldImage: string | undefined,
): SiteDecision | null {
  const { image, pullPolicy } = site
  if (pullPolicy !== 'Never' || image === autoImage) return null
  const parsed = parseReference(image)
  if (!parsed.ok) return null
  const isSetByRule = [image, oldImage ?? image].some((each) => {
    const read = parseReference(each)
    return read.ok && pullPolicyFor(policy.pullPolicy, read.reference, pod) === 'Never'
  })
  if (isSetByRule) return null
  const resolution = resolveNeverPulled(parsed.reference)
  const why = describeResolution(resolution)
  return { site, requested: image, image, pullPolicy, resolution, why, invalidDeniedBy: null }
}
