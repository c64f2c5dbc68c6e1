/** Checks that registries still have an image that pods run. */
import { canonicalReference, type IsPlainHttp } from '../decision/fallback/registry-aliases.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatAsPulled, type Reference } from '../decision/reference/reference.ts'
import { askByDigest } from '../decision/resolve/ask-by-digest.ts'
import type { ManifestAnswer } from '../decision/resolve/manifest-source.ts'
import type { ResolveDependencies } from '../decision/resolve/probe-candidate.ts'

/** The result of one check. Only a 404 is `absent`. */
export interface Availability {
  readonly state: 'available' | 'absent' | 'unknown'
  /** Null for `available`. */
  readonly detail: string | null
  /** True if the registry was asked and gave no answer about the image. */
  readonly isUnanswered: boolean
  /** True after a 429. */
  readonly isLimited: boolean
  /** How long the registry asks clients to wait, in milliseconds. */
  readonly retryAfterMs: number
}

export type AvailabilityDependencies = Pick<
  ResolveDependencies,
  'isListed' | 'isProbed' | 'queryManifest'
>

/** An image with one spelling for all its names, as a node pulls it. */
export interface PulledImage {
  readonly name: string
  readonly reference: Reference
}

/** Returns null for text that is not an image. */
export function readPulledImage(image: string, isPlainHttp: IsPlainHttp): PulledImage | null {
  const parsed = parseReference(image)
  if (!parsed.ok || parsed.reference.domain === '') return null
  const reference = canonicalReference(parsed.reference, isPlainHttp)
  return { name: formatAsPulled(reference), reference }
}

/** Returns why Berth does not ask this host; null if it does. */
export function reasonNotChecked(
  { isListed, isProbed }: Pick<AvailabilityDependencies, 'isListed' | 'isProbed'>,
  host: string,
): string | null {
  if (!isListed(host)) return `${host} is not listed under registries`
  return isProbed(host) ? null : `${host} has probe: false`
}

/**
 * Sends HEAD, and a GET only if HEAD is not conclusive. Never uses a cached answer. The namespace is empty for all queries, so that the
 * circuit breaker that a 429 opens holds for all of them. Failures of registries are results.
 */
export async function checkAvailability(
  dependencies: AvailabilityDependencies,
  image: Reference,
  signal: AbortSignal,
): Promise<Availability> {
  const { domain: host, path: repository } = image
  const reason = reasonNotChecked(dependencies, host)
  if (reason !== null) return unknown(reason)
  const query = { host, repository, namespace: '', isRefresh: true }
  return availabilityOf(
    await askByDigest(image, (reference) =>
      dependencies.queryManifest({ ...query, reference }, signal),
    ),
  )
}

function availabilityOf(answer: ManifestAnswer): Availability {
  if (answer.outcome === 'found') return { ...answered, state: 'available', detail: null }
  const { outcome, detail, retryAfterMs = 0 } = answer
  if (outcome === 'absent') return { ...answered, state: 'absent', detail }
  const isLimited = outcome === 'limited'
  return { ...unknown(`${outcome}: ${detail}`), isUnanswered: true, isLimited, retryAfterMs }
}

const answered = { isUnanswered: false, isLimited: false, retryAfterMs: 0 }

/** Returns the result for an image whose registry was not asked. */
function unknown(detail: string): Availability {
  return { ...answered, state: 'unknown', detail }
}
