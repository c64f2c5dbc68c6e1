/** Turns the decisions about a pod into the verdict: patch, denial, warnings and audit annotations. */
import { buildPatch, type PodChanges, roomForAnnotation } from '../../decision/pod/patch.ts'
import {
  type ImageRecord,
  imagesAnnotation,
  writeRecords,
} from '../../decision/pod/images-annotation.ts'
import { mapMaybe, type MaybePromise } from '../../async/maybe-promise.ts'
import {
  maxChanges,
  maxFields,
  maxImages,
  type RestDecision,
} from '../../decision/pod/decide-pod.ts'
import { recordsFor } from '../../decision/pod/decide-sites.ts'
import { deniedBy, optOutWarnings, warningsFor } from '../../decision/pod/site-warnings.ts'
import { cutText } from '../../text/cut-text.ts'
import { type PullSecretsInput, type PullSecretsResult, selectPullSecrets } from './pull-secrets.ts'
import type { AdmissionVerdict } from './admission-response.ts'
import type { SharedVerdicts } from './shared-verdicts.ts'

export interface VerdictInput extends PullSecretsInput {
  readonly rest: RestDecision | null
  readonly mode: 'enforce' | 'observe'
  readonly sharedVerdicts: SharedVerdicts
}

/** Leaves half of what the API server allows to the other annotations of the pod. */
const maxRecordsBytes = 128 * 1024

/** An API server that truncates its audit log does so at 100 KiB for an event (apiserver, audit/truncate). */
const maxAuditBytes = 32 * 1024

/** A `why` has one part for each candidate of the row. */
const maxWhyLength = 1_024

/** Synchronous unless the API server has to be asked about the namespace. */
export function verdictFor(input: VerdictInput): MaybePromise<AdmissionVerdict> {
  const { request, mode } = input
  const mayWrite = mode !== 'observe' && !request.dryRun && denialOf(input) === null
  const secretProvisioner = mayWrite ? input.secretProvisioner : null
  return mapMaybe(selectPullSecrets({ ...input, secretProvisioner }), (secrets) =>
    input.sharedVerdicts(input, secrets, () => {
      const verdict = enforcedVerdict(input, secrets)
      return mode === 'observe' ? observedVerdict(verdict, input) : verdict
    }),
  )
}

function denialOf({ decisions, rest }: Pick<VerdictInput, 'decisions' | 'rest'>): string | null {
  if (rest?.isTooLarge === true)
    return `berth: more than ${maxChanges} image fields would change; the API server cannot store a pod with so many containers`
  const denied = rest?.denied ?? null
  return deniedBy(denied === null ? decisions : [...decisions, denied])
}

function enforcedVerdict(input: VerdictInput, secrets: PullSecretsResult): AdmissionVerdict {
  const { request, decisions, rest } = input
  const records = recordsFor(request, decisions)
  const room = Math.min(maxRecordsBytes, roomForAnnotation(request.object, imagesAnnotation))
  const { text, omitted } = writeRecords(records, room)
  const fits = omitted < records.length || records.length === 0
  // An update that changes no image, and a pod without room for the annotation, keep the annotation that they have.
  const isDecided = request.operation === 'CREATE' || decisions.length > 0
  const patch = buildPatch(request.object, {
    sites: [...decisions, ...(rest?.changes ?? [])],
    annotation: fits && isDecided ? annotationChange(records.length === 0 ? '' : text) : null,
    pullSecrets: secrets.names,
  })
  return {
    patch,
    denied: denialOf(input),
    warnings: [
      ...restWarnings(rest),
      ...optOutWarnings(input.pod, decisions),
      ...decisions.flatMap(warningsFor),
      ...secrets.warnings,
      ...omittedWarnings(records.length, omitted),
    ],
    auditAnnotations: auditAnnotationsFor(records),
  }
}

function restWarnings(rest: RestDecision | null): string[] {
  if (rest === null || rest.denied !== null || rest.isTooLarge) return []
  return [
    `berth: more than ${maxImages} images or ${maxFields} fields: ${rest.fields} fields not probed, decided by their row`,
  ]
}

function omittedWarnings(records: number, omitted: number): string[] {
  if (omitted === 0) return []
  return [
    omitted === records
      ? `berth: annotation ${imagesAnnotation} left out: the annotations of the pod have no room for it`
      : `berth: annotation ${imagesAnnotation} has no room for ${omitted} of ${records} records`,
  ]
}

/** The records, with names cut, as far as they fit. */
function auditAnnotationsFor(records: readonly ImageRecord[]): Readonly<Record<string, string>> {
  if (records.length === 0) return {}
  const cut = records.map(({ site, from, to, row, why }) => ({
    site: cutText(site),
    from: cutText(from),
    to: cutText(to),
    row,
    why: cutText(why, maxWhyLength),
  }))
  const { text, omitted } = writeRecords(cut, maxAuditBytes)
  return { images: text, ...(omitted === 0 ? {} : { omitted: String(omitted) }) }
}

/** Without records, an annotation of this name is removed: it is not Berth's, or no longer true. */
function annotationChange(value: string): PodChanges['annotation'] {
  return { key: imagesAnnotation, value: value === '' ? null : value }
}

/** Shadow mode: everything is decided and recorded, nothing is changed or denied. */
function observedVerdict(
  { denied, warnings, auditAnnotations }: AdmissionVerdict,
  { decisions, rest }: VerdictInput,
): AdmissionVerdict {
  const moved = decisions.filter(({ site, image }) => site.image !== image)
  const changes = moved.length + (rest?.changes.length ?? 0)
  const messages = [
    ...(denied === null ? [] : [denied.replace(/^berth: /, 'would be denied: ')]),
    ...moved.map(({ site, image }) => `${cutText(site.image)} would become ${cutText(image)}`),
    ...warnings.map((warning) => warning.replace(/^berth: /, '')),
  ]
  return {
    patch: [],
    denied: null,
    warnings: messages.map((text) => `berth (observing): ${text}`),
    auditAnnotations: { ...auditAnnotations, mode: 'observe', changes: String(changes) },
  }
}
