/** Turns the decisions about a pod into the verdict: patch, denial, warnings and audit annotations. */
import { annotationFits, buildPatch, type PodChanges } from '../../decision/pod/patch.ts'
import { imagesAnnotation, writeRecords } from '../../decision/pod/images-annotation.ts'
import { mapMaybe, type MaybePromise } from '../../async/maybe-promise.ts'
import { recordsFor, type SiteDecision } from '../../decision/pod/decide-sites.ts'
import { deniedBy, warningsFor } from '../../decision/pod/site-warnings.ts'
import { type PullSecretsInput, type PullSecretsResult, selectPullSecrets } from './pull-secrets.ts'
import type { AdmissionVerdict } from './admission-response.ts'

export interface VerdictInput extends PullSecretsInput {
  readonly mode: 'enforce' | 'observe'
}

/** Synchronous unless the API server has to be asked about the namespace. */
export function verdictFor(input: VerdictInput): MaybePromise<AdmissionVerdict> {
  const { request, decisions, mode } = input
  const mayWrite = mode !== 'observe' && !request.dryRun && deniedBy(decisions) === null
  const secretProvisioner = mayWrite ? input.secretProvisioner : null
  return mapMaybe(selectPullSecrets({ ...input, secretProvisioner }), (secrets) => {
    const verdict = enforcedVerdict(input, secrets)
    return mode === 'observe' ? observedVerdict(verdict, decisions) : verdict
  })
}

function enforcedVerdict(
  { request, decisions }: VerdictInput,
  secrets: PullSecretsResult,
): AdmissionVerdict {
  const records = recordsFor(request, decisions)
  const value = records.length === 0 ? '' : writeRecords(records)
  const fits = value === '' || annotationFits(request.object, { key: imagesAnnotation, value })
  // An update that changes no image, and a pod without room for the annotation, keep the annotation that they have.
  const isDecided = request.operation === 'CREATE' || decisions.length > 0
  const patch = buildPatch(request.object, {
    sites: decisions,
    annotation: fits && isDecided ? annotationChange(value) : null,
    pullSecrets: secrets.names,
  })
  const warnings = [...decisions.flatMap(warningsFor), ...secrets.warnings]
  if (!fits) {
    warnings.push(
      `berth: annotation ${imagesAnnotation} left out: the annotations of the pod have no room for it`,
    )
  }
  return {
    patch,
    denied: deniedBy(decisions),
    warnings,
    auditAnnotations: value === '' ? {} : { images: value },
  }
}

/** Without records, an annotation of this name is removed: it is not Berth's, or no longer true. */
function annotationChange(value: string): PodChanges['annotation'] {
  return { key: imagesAnnotation, value: value === '' ? null : value }
}

/** Shadow mode: everything is decided and recorded, nothing is changed or denied. */
function observedVerdict(
  { denied, warnings, auditAnnotations }: AdmissionVerdict,
  decisions: readonly SiteDecision[],
): AdmissionVerdict {
  const moved = decisions.filter(({ site, image }) => site.image !== image)
  const messages = [
    ...(denied === null ? [] : [denied.replace(/^berth: /, 'would be denied: ')]),
    ...moved.map(({ site, image }) => `${site.image} would become ${image}`),
    ...warnings.map((warning) => warning.replace(/^berth: /, '')),
  ]
  return {
    patch: [],
    denied: null,
    warnings: messages.map((text) => `berth (observing): ${text}`),
    auditAnnotations: { ...auditAnnotations, mode: 'observe', changes: String(moved.length) },
  }
}
