/** Decides an image without a registry: by its row alone, or because there is nothing to decide. */
import type { PodContext } from '../fallback/pod-context.ts'
import { selectCatchAllRow, selectRow } from '../fallback/table.ts'
import { parseReference } from '../reference/parse.ts'
import { defaultTag, formatReference, type Reference } from '../reference/reference.ts'
import { describeResolution } from './describe-resolution.ts'
import type { KnownRegistries } from './probe-candidate.ts'
import type { Resolution } from './resolution.ts'
import { type ProbeSubstitute, resolveByRow } from './resolve.ts'
import { pinFor, type ResolvePolicy } from './resolve-policy.ts'

/** What a pod's image becomes. Frozen, because reviews share it. */
export type Decision = ImageDecision | UnchangedImage

export interface ImageDecision {
  readonly ok: true
  readonly resolution: Resolution
  readonly image: string
  readonly why: string
}

/** The image stays as it is: it does not parse, or, with an empty error, another webhook replaces it. */
export interface UnchangedImage {
  readonly ok: false
  readonly error: string
  /** The rule that denies the image, such as `row X has otherwise: deny`; null if none does. */
  readonly deniedBy: string | null
}

/** Decides one image by its row alone: the request gives the outcome of each probe. */
export type DecideByRow = (
  image: string,
  request: { readonly pod: PodContext; readonly substitute: ProbeSubstitute },
) => Decision

/** Returns the function for images that are not probed: those beyond a limit, or without time left. */
export function createDecideByRow(registries: KnownRegistries, policy: ResolvePolicy): DecideByRow {
  return (image, { pod, substitute }) => {
    const read = readImage(image, policy, pod)
    if (!read.ok) return read
    const request = { reference: read.reference, pod, substitute }
    return decisionOf(image, resolveByRow(registries, policy, request))
  }
}

/** The image of Istio gateways before Istio's injector replaces it. The next webhook round has the real image. */
export const autoImage = 'auto'

/** Returns the reference of an image, or the decision if there is nothing to resolve. */
export function readImage(
  image: string,
  policy: ResolvePolicy,
  pod: PodContext,
): { readonly ok: true; readonly reference: Reference } | UnchangedImage {
  if (isLeftToAnotherWebhook(image, policy, pod)) return { ok: false, error: '', deniedBy: null }
  const parsed = parseReference(image)
  if (parsed.ok) return parsed
  return { ok: false, error: parsed.message, deniedBy: denialOfInvalid(image, policy, pod) }
}

/** Returns false if the row of the image denies: a pod must not get past the row with the name of a placeholder. */
function isLeftToAnotherWebhook(image: string, { table }: ResolvePolicy, pod: PodContext): boolean {
  if (image !== autoImage) return false
  const parsed = parseReference(image)
  return !parsed.ok || selectRow(table, parsed.reference, pod).row?.otherwise !== 'deny'
}

/** Returns the rule that denies an image that does not parse; null if none does. Other parsers may be less strict. */
function denialOfInvalid(image: string, policy: ResolvePolicy, pod: PodContext): string | null {
  const { row } = selectCatchAllRow(policy.table, pod)
  if (row?.leave === true) return null
  if (row?.otherwise === 'deny') return `row ${row.name} has otherwise: deny`
  const pin = pinFor(policy, row, pod)
  const colon = image.lastIndexOf(':')
  const tag = colon > image.lastIndexOf('/') ? image.slice(colon + 1) : defaultTag
  const needsPin = !image.includes('@') && pin.matches(tag)
  return needsPin && pin.unresolved === 'deny' ? pinDenial : null
}

/** How messages name the rule of `pin`. */
export const pinDenial = 'pin has unresolved: deny'

export function decisionOf(image: string, resolution: Resolution): ImageDecision {
  return Object.freeze({
    ok: true as const,
    resolution,
    image: resolution.changed ? formatReference(resolution.chosen) : image,
    why: describeResolution(resolution),
  })
}
