/** From what was decided about the sites of a pod to the verdict: patch, warnings, refusal, what the audit log is told. */
import { annotationFits, buildPatch, type PodChanges } from '../../decision/pod/patch.ts'
import type { LazySignal } from '../../decision/resolve/budget.ts'
import { imagesAnnotation, writeRecords } from '../../decision/pod/images-annotation.ts'
import { mapMaybe } from '../../async/maybe-promise.ts'
import {
  type AdmissionPolicy,
  recordsFor,
  type SiteDecision,
} from '../../decision/pod/decide-sites.ts'
import { deniedBy, warningsFor } from '../../decision/pod/site-warnings.ts'
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
function annotationFor(value: string, fits: boolean, isLooked: boolean): PodChanges['annotation'] {
  if (!fits || !isLooked) return null
  return { key: imagesAnnotation, value: value === '' ? null : value }
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
