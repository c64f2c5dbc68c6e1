/** One pod: from the sites in it to what each becomes. Neither the network nor the clock is used but through what is passed in. */
import { pullPolicyFor, type PullPolicyRule } from '../pod/pull-policy.ts'
import type { PullSecretRule } from '../pod/pull-secrets.ts'
import { changedSites, findSites, type Site } from '../pod/sites.ts'
import { parseReference } from '../reference/parse.ts'
import { formatReference, type Reference } from '../reference/reference.ts'
import type { Policy, Resolution } from '../resolve/resolution.ts'
import { resolve, type ResolveDependencies } from '../resolve/resolve.ts'
import { askedImage, type ImageRecord, readRecords } from './annotation.ts'
import type { AdmissionRequest } from './review.ts'

/** What the configuration says, as far as an admission needs it. */
export interface AdmissionPolicy extends Policy {
  readonly pullPolicy: readonly PullPolicyRule[]
  readonly pullSecrets: readonly PullSecretRule[]
  readonly mode: 'enforce' | 'observe'
}

/** A site and what was decided about it. */
export interface SiteDecision {
  readonly site: Site
  /** The image that was decided on: the site's own, or what it was before an earlier look. */
  readonly asked: string
  /** What the site is to hold. */
  readonly image: string
  readonly pullPolicy: string | undefined
  readonly resolution: Resolution | null
  /** Why the site was left alone without a resolution; null for `image: auto`, which another webhook fills in. */
  readonly fault: string | null
}

/** Istio's gateways ask for this image and get the proxy's own put in by its injector; on the next round it is a name. */
const filledInByAnother = 'auto'

/** Decides every site that this request may change, each distinct image once. */
export async function decideSites(
  dependencies: ResolveDependencies,
  policy: AdmissionPolicy,
  request: AdmissionRequest,
  signal: AbortSignal,
): Promise<SiteDecision[]> {
  const sites =
    request.operation === 'CREATE'
      ? findSites(request.object)
      : changedSites(request.object, request.oldObject)
  const records = readRecords(request.object)
  const resolutions = new Map<string, Promise<Resolution>>()
  const resolveOnce = (reference: Reference): Promise<Resolution> => {
    const key = formatReference(reference)
    const known =
      resolutions.get(key) ??
      resolve(dependencies, policy, { reference, namespace: request.namespace, signal })
    resolutions.set(key, known)
    return known
  }
  return Promise.all(sites.map((site) => decideSite(site, askedImage(records, site))))

  async function decideSite(site: Site, claimed: string): Promise<SiteDecision> {
    const own = {
      site,
      asked: site.image,
      image: site.image,
      pullPolicy: site.pullPolicy,
      resolution: null,
    }
    if (site.image === filledInByAnother) return { ...own, fault: null }
    const claim = parseReference(claimed)
    const parsed = claim.ok ? claim : parseReference(site.image)
    if (!parsed.ok) return { ...own, fault: parsed.message }
    const asked = claim.ok ? claimed : site.image
    const resolution = await resolveOnce(parsed.reference)
    return {
      site,
      asked,
      image: resolution.changed ? formatReference(resolution.chosen) : asked,
      pullPolicy: mayChangePolicy(request)
        ? pullPolicyFor(policy.pullPolicy, resolution.chosen, site.pullPolicy)
        : site.pullPolicy,
      resolution,
      fault: null,
    }
  }
}

/** Of a running container only the image can be changed; a debug container is new (kubernetes, validation.go, ValidatePodUpdate). */
function mayChangePolicy({ operation, subResource }: AdmissionRequest): boolean {
  return operation === 'CREATE' || subResource === 'ephemeralcontainers'
}

/** The records for the annotation: sites that a row or a pin had a say in, and earlier records of sites not looked at now. */
export function recordsFor(
  pod: unknown,
  decisions: readonly SiteDecision[],
  describe: (r: Resolution) => string,
): ImageRecord[] {
  const looked = new Set(decisions.map(({ site }) => site.name))
  const made = decisions.flatMap(({ site, asked, image, resolution }) =>
    resolution === null || (resolution.row === null && !resolution.pinned)
      ? []
      : [
          {
            site: site.name,
            from: asked,
            to: image,
            row: resolution.row,
            why: describe(resolution),
          },
        ],
  )
  return [...readRecords(pod).filter((record) => !looked.has(record.site)), ...made]
}
