/** The verdict of a review, and the AdmissionReview that carries it back to the API server. */
import type { JsonPatch } from '../../decision/pod/patch.ts'
import { escapeTerminal } from '../../text/escape-terminal.ts'

export interface AdmissionVerdict {
  readonly patch: JsonPatch
  /** The message of a denial, which names the image, the rule and the fix; null when the pod is allowed. */
  readonly denied: string | null
  readonly warnings: readonly string[]
  readonly auditAnnotations: Readonly<Record<string, string>>
  /** The texts of a verdict that several reviews share; left out for all others. */
  readonly texts?: VerdictTexts
}

/** Each is written when the first of these reviews needs it. */
export interface VerdictTexts {
  /** The response from its uid on. */
  response: string | null
  /** The images in the log line. */
  logged: string | null
}

export const unchanged: AdmissionVerdict = {
  patch: [],
  denied: null,
  warnings: [],
  auditAnnotations: {},
}

/** Far below the 4,096 characters that the API server allows for all webhooks of a request together. */
const maxWarnings = 5
const maxWarningLength = 120

/** Returns the AdmissionReview that answers `uid`, as JSON. */
export function writeReview(uid: string, verdict: AdmissionVerdict): string {
  const { texts } = verdict
  const rest = texts?.response ?? JSON.stringify(responseOf(verdict)).slice('{'.length)
  if (texts !== undefined) texts.response = rest
  return `${reviewStart}${JSON.stringify(uid)},${rest}}`
}

const reviewStart =
  '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":'

/** Returns the response without its uid. It has both patch and patchType, or neither (admissionreview.go). */
function responseOf({ patch, denied, warnings, auditAnnotations }: AdmissionVerdict): object {
  const isPatched = denied === null && patch.length > 0
  return {
    allowed: denied === null,
    ...(denied === null
      ? {}
      : { status: { code: 403, reason: 'Forbidden', message: escapeTerminal(denied, '\n') } }),
    ...(isPatched
      ? { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }
      : {}),
    ...(warnings.length === 0 ? {} : { warnings: limitWarnings(warnings) }),
    ...(Object.keys(auditAnnotations).length === 0 ? {} : { auditAnnotations }),
  }
}

function limitWarnings(warnings: readonly string[]): string[] {
  const lines = [...new Set(warnings.map(toPrintable))]
  if (lines.length <= maxWarnings) return lines
  const shown = lines.slice(0, maxWarnings - 1)
  return [
    ...shown,
    `berth: ${lines.length - shown.length} more; see the annotation berth.dev/images`,
  ]
}

/** Replaces control characters: the API server silently drops a warning that has any. */
function toPrintable(text: string): string {
  const clean = text.replaceAll(/[^ -~]/g, '?')
  return clean.length <= maxWarningLength ? clean : `${clean.slice(0, maxWarningLength - 3)}...`
}
