/** Decides an image without a registry: by its row alone, or because there is nothing to decide. */
import type { PodContext } from '../fallback/pod-context.ts'
import { parseReference } from '../reference/parse.ts'
import { formatReference, type Reference } from '../reference/reference.ts'
import { describeResolution } from './describe-resolution.ts'
import type { KnownRegistries } from './probe-candidate.ts'
import type { Resolution } from './resolution.ts'
import { type ProbeSubstitute, resolveByRow } from './resolve.ts'
import type { ResolvePolicy } from './resolve-policy.ts'

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
}

/** Decides one image by its row alone: each probe that it needs has the outcome that the request gives. */
export type DecideByRow = (
  image: string,
  request: { readonly pod: PodContext; readonly substitute: ProbeSubstitute },
) => Decision

/** Returns the function for images that are not probed: those beyond a limit, or without time left. */
export function createDecideByRow(registries: KnownRegistries, policy: ResolvePolicy): DecideByRow {
  return (image, { pod, substitute }) => {
    const read = readImage(image)
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
): { readonly ok: true; readonly reference: Reference } | UnchangedImage {
  if (image === autoImage) return { ok: false, error: '' }
  const parsed = parseReference(image)
  return parsed.ok ? parsed : { ok: false, error: parsed.message }
}

export function decisionOf(image: string, resolution: Resolution): ImageDecision {
  return Object.freeze({
    ok: true as const,
    resolution,
    image: resolution.changed ? formatReference(resolution.chosen) : image,
    why: describeResolution(resolution),
  })
}
