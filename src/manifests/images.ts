/** The images that manifests ask for. */
import { requestedImage, readRecords } from '../decision/pod/images-annotation.ts'
import { autoImage } from '../decision/pod/decide-sites.ts'
import { findSites } from '../decision/pod/sites.ts'
import { type CarrierKind, carriersIn, titleOf } from './pod-locations.ts'
import type { Manifests } from './source.ts'

/** An image, and who asks for it. */
export interface ImageUse {
  readonly image: string
  /** Null where the manifest does not say. */
  readonly namespace: string | null
  /** For example `apps/Deployment web`. */
  readonly object: string
}

/** Every image of every pod and pod template, in order, as often as it stands there. */
export function imagesOf({ objects }: Manifests, kinds: readonly CarrierKind[]): ImageUse[] {
  return objects.flatMap(({ value }) =>
    carriersIn(value, kinds).flatMap(({ pod, namespace }) =>
      askedBy(pod).map((image) => ({ image, namespace, object: titleOf(value) })),
    ),
  )
}

/** A pod that was read from a cluster says in its annotation what it asked for before Berth. */
export function askedBy(pod: unknown): string[] {
  const records = readRecords(pod)
  return findSites(pod)
    .map((site) => requestedImage(records, site))
    .filter((image) => image !== autoImage)
}
