import { readRecords, requestedImage } from '../decision/pod/images-annotation.ts'
import { findSites } from '../decision/pod/sites.ts'

/**
 * Returns the images that a pod pulls, as it asked for them before Berth rewrote them, each once. Trusts the pod's annotation: a pod that forges
 * it gains nothing, because it could ask for any image directly. Pure.
 */
export function imagesOfPod(pod: unknown): readonly string[] {
  const records = readRecords(pod)
  const pulled = findSites(pod).filter(({ pullPolicy }) => pullPolicy !== 'Never')
  return [...new Set(pulled.map((site) => requestedImage(records, site)))]
}
