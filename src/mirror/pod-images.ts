import { readRecords, requestedImage } from '../decision/pod/images-annotation.ts'
import { findSites } from '../decision/pod/sites.ts'

/**
 * Returns the images that a pod asked for before Berth rewrote them, each once. Trusts the pod's annotation: a pod that forges
 * it gains nothing, because it could ask for any image directly. Pure.
 */
export function imagesOfPod(pod: unknown): readonly string[] {
  const records = readRecords(pod)
  return [...new Set(findSites(pod).map((site) => requestedImage(records, site)))]
}
