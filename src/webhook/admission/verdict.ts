/** From what was decided about the sites of a pod to the verdict: patch, warnings, refusal, what the audit log is told. */
import { annotationFits, buildPatch, type Changes } from '../../decision/pod/patch.ts'
import type { LazySignal } from '../../decision/resolve/budget.ts'
import { failedSteps } from '../../decision/resolve/describe-resolution.ts'
import { isDenied } from '../../decision/resolve/resolution.ts'
import { imagesAnnotation, writeRecords } from '../../decision/pod/images-annotation.ts'
import {
  type AdmissionPolicy,
  mapMaybe,
  recordsFor,
  type SiteDecision,
} from '../../decision/pod/decide-sites.ts'
import type { SecretProvisioner } from './secret-provisioner.ts'
import type { NamespaceLookup } from './namespace-lookup.ts'
import { pullSecrets, type SecretsResult } from './pull-secrets.ts'
import type { AdmissionVerdict } from './admission-response.ts'
import type { AdmissionRequest } from './admission-review.ts'

export interface VerdictInput {
  readonly request: AdmissionRequest
  readonly policy: AdmissionPolicy
  readonly facts: NamespaceLookup
  readonly ensure: SecretProvisioner | null
  readonly signal: LazySignal
  readonly decisions: readonly SiteDecision[]
  readonly mode: 'enforce' | 'observe'
}

/** Synchronous unless something has to be known of the namespace. */
export function verdictFor(conclusion: VerdictInput): AdmissionVerdict | Promise<AdmissionVerdict> {
  const isRefused = deniedBy(conclusion.decisions) !== null
  const mayWrite = conclusion.mode !== 'observe' && !conclusion.request.dryRun && !isRefused
  const ensure = mayWrite ? conclusion.ensure : null
  return mapMaybe(pullSecrets({ ...conclusion, ensure }), (secrets) => {
    const verdict = verdictOf(conclusion, secrets)
    return conclusion.mode === 'observe' ? observed(verdict, conclusion.decisions) : verdict
  })
}

function verdictOf({ request, decisions }: VerdictInput, secrets: SecretsResult): AdmissionVerdict {
  const records = recordsFor(request, decisions)
  const value = records.length === 0 ? '' : writeRecords(records)
  const fits = value === '' || annotationFits(request.object, { key: imagesAnnotation, value })
  const patch = buildPatch(request.object, {
    sites: decisions,
    annotation: annotationFor(value, fits, request.operation === 'CREATE' || decisions.length > 0),
    pullSecrets: secrets.names,
  })
  const warnings = [...decisions.flatMap(warningsFor), ...secrets.warnings]
  if (!fits) {
    warnings.push(
      `berth: the annotation ${imagesAnnotation} is left out: the pod's annotations are full`,
    )
  }
  return {
    patch,
    denied: deniedBy(decisions),
    warnings,
    auditAnnotations: value === '' ? {} : { images: value },
  }
}

/**
 * What the pod is to carry. An annotation about images on which Berth has no say is not Berth's, or not true any more, and
 * goes; an update that changes no image leaves everything as it is, and a pod with no room for it keeps what it has.
 */
function annotationFor(value: string, fits: boolean, isLooked: boolean): Changes['annotation'] {
  if (!fits || !isLooked) return null
  return { key: imagesAnnotation, value: value === '' ? null : value }
}

/** What a person is warned of about one site. */
export function warningsFor({ asked, site, resolution, why }: SiteDecision): string[] {
  if (resolution === null)
    return why === '' ? [] : [`berth: ${site.name}: ${asked} is no image name: ${why}`]
  const { domain } = resolution.original
  const doubtful = ['none-found', 'first-unproved'].includes(resolution.reason)
  // Silent about a registry that is none of ours to ask: it would be said of every such pod.
  const notPinned =
    resolution.unpinned !== null &&
    resolution.steps.some(({ milliseconds }) => milliseconds !== null)
  const lines: string[] = []
  if (doubtful || notPinned || failedSteps(resolution).length > 0)
    lines.push(`berth: ${asked}: ${why}`)
  if (domain === '') lines.push(`berth: ${asked}: its host is no host name, so no row applies`)
  else if (domain.toLowerCase() !== domain)
    lines.push(`berth: ${asked}: ${domain} is not ${domain.toLowerCase()} to a runtime`)
  return lines
}

/** Why a rule of the configuration refuses the pod; null when none does. */
export function deniedBy(decisions: readonly SiteDecision[]): string | null {
  const reasons = decisions.flatMap(({ asked, resolution, why }) => {
    if (resolution === null || !isDenied(resolution)) return []
    const rule =
      resolution.reason === 'row-denies'
        ? `row ${resolution.row} says otherwise: deny`
        : 'pin says unresolved: deny'
    return [`${asked}: ${rule}; ${why}`]
  })
  if (reasons.length === 0) return null
  return `berth: ${reasons.join('; ')}; mirror the image, or change the rule`
}

/** Shadow mode: everything is decided and recorded, nothing is changed or refused. */
function observed(
  { denied, warnings, auditAnnotations }: AdmissionVerdict,
  decisions: readonly SiteDecision[],
): AdmissionVerdict {
  const moved = decisions.filter(({ site, image }) => site.image !== image)
  const told = [
    ...(denied === null ? [] : [denied.replace(/^berth: /, 'would be refused: ')]),
    ...moved.map(({ site, image }) => `${site.image} would become ${image}`),
    ...warnings.map((warning) => warning.replace(/^berth: /, '')),
  ]
  return {
    patch: [],
    denied: null,
    warnings: told.map((text) => `berth (observing): ${text}`),
    auditAnnotations: { ...auditAnnotations, mode: 'observe', changes: String(moved.length) },
  }
}
