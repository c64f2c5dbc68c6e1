/** The images that pods ask for, before any rewriting. Pure. */
import { requestedImage, readRecords } from '../decision/pod/images-annotation.ts'
import { findSites } from '../decision/pod/sites.ts'

/** What each site asked for before Berth or after; each image once. The annotation is a claim that gains nobody anything: any pod could name that image. */
export function imagesOfPod(pod: unknown): readonly string[] {
  const records = readRecords(pod)
  return [...new Set(findSites(pod).map((site) => requestedImage(records, site)))]
}
