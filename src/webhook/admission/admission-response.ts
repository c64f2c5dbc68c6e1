/** The answers that a review can get, and nothing else: allowed as it is, patched, or denied by a rule. */
import type { JsonPatch } from '../../decision/pod/patch.ts'

export interface AdmissionVerdict {
  readonly patch: JsonPatch
  /** Set when a rule of the configuration refuses the pod; names the image, the rule and the fix. */
  readonly denied: string | null
  readonly warnings: readonly string[]
  readonly auditAnnotations: Readonly<Record<string, string>>
}

export const unchanged: AdmissionVerdict = {
  patch: [],
  denied: null,
  warnings: [],
  auditAnnotations: {},
}

/** Five lines of 120 characters stay far below the 4,096 that the API server gives to all webhooks of a request together. */
const maxWarnings = 5
const maxWarningLength = 120

/** The AdmissionReview that answers `uid`: patch and patchType come together or not at all (admissionreview.go). */
export function toReview(
  uid: string,
  { patch, denied, warnings, auditAnnotations }: AdmissionVerdict,
): object {
  const patched = denied === null && patch.length > 0
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed: denied === null,
      ...(denied === null ? {} : { status: { code: 403, reason: 'Forbidden', message: denied } }),
      ...(patched
        ? { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }
        : {}),
      ...(warnings.length === 0 ? {} : { warnings: limitWarnings(warnings) }),
      ...(Object.keys(auditAnnotations).length === 0 ? {} : { auditAnnotations }),
    },
  }
}

function limitWarnings(warnings: readonly string[]): string[] {
  const lines = [...new Set(warnings.map(printable))]
  if (lines.length <= maxWarnings) return lines
  const shown = lines.slice(0, maxWarnings - 1)
  return [
    ...shown,
    `berth: ${lines.length - shown.length} more; see the annotation berth.dev/images`,
  ]
}

/** The API server drops a warning with control characters without a word, so they are replaced. */
function printable(text: string): string {
  const clean = text.replaceAll(/[^ -~]/g, '?')
  return clean.length <= maxWarningLength ? clean : `${clean.slice(0, maxWarningLength - 3)}...`
}
