/** Lists the images that manifests ask for. */
import type { PodContext } from '../decision/fallback/pod-context.ts'
import { requestedImage, readRecords } from '../decision/pod/images-annotation.ts'
import { findSites } from '../decision/pod/sites.ts'
import { autoImage } from '../decision/resolve/decide-by-row.ts'
import type { Manifests } from './manifests.ts'
import { objectTitle, podLocationsIn, type WorkloadKind } from './pod-locations.ts'

/** An image and the object that asks for it. */
export interface ManifestImage {
  readonly image: string
  /** Its namespace is null when the manifest has none. */
  readonly pod: PodContext
  /** For example `apps/Deployment web`. */
  readonly object: string
}

/** Returns every image of every pod and pod template, in order and with repetitions. */
export function manifestImages(
  { objects }: Manifests,
  kinds: readonly WorkloadKind[],
): ManifestImage[] {
  return objects.flatMap(({ value }) =>
    podLocationsIn(value, kinds).flatMap(({ pod, context }) =>
      requestedImages(pod).map((image) => ({ image, pod: context, object: objectTitle(value) })),
    ),
  )
}

/**
 * Returns the images that a pod pulls. If Berth rewrote them, the pod's annotation has the original ones. An image with the
 * pull policy Never is on its node, and need not be in any registry.
 */
export function requestedImages(pod: unknown): string[] {
  const records = readRecords(pod)
  return findSites(pod)
    .filter(({ pullPolicy }) => pullPolicy !== 'Never')
    .map((site) => requestedImage(records, site))
    .filter((image) => image !== autoImage)
}
