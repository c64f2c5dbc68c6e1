/** Adds images from other fields of manifests to the images of a plan, and describes those that it cannot add. */
import { templateNamespace } from '../decision/fallback/pod-context.ts'
import { countByPlace, type ElsewhereInFile, elsewhereLines } from './elsewhere-summary.ts'
import type { ImageUse } from './image-uses.ts'
import type { Manifests } from './manifests.ts'
import { kindOf } from './pod-locations.ts'

/** The text of ConfigMaps and annotations often contains images that nothing pulls. */
const unplannedPlaces: readonly string[] = ['config-map', 'annotation', 'other']

/** Returns the images that pods will probably pull. */
export function plannedUses(images: readonly ElsewhereInFile[]): ImageUse[] {
  return images.filter(isPlanned).map(({ file, object, site, image, pod }) => ({
    image,
    namespace: templateNamespace(pod),
    pod,
    by: [`${file}: ${object}`, site].join(' '),
  }))
}

function isPlanned({ place, hasVersion, isInText }: ElsewhereInFile): boolean {
  return hasVersion && !isInText && !unplannedPlaces.includes(place)
}

/** Returns messages about images that are in no plan: those without a tag, in text, or chosen by a chart. */
export function unplannedMessages(
  images: readonly ElsewhereInFile[],
  charts: ReadonlyMap<string, number>,
): string[] {
  const planned = images.filter(isPlanned)
  const unplanned = images.filter((image) => !isPlanned(image))
  return [
    ...(planned.length === 0
      ? []
      : [`images outside of pod templates are included: ${countByPlace(planned)}`]),
    ...(unplanned.length === 0
      ? []
      : [
          [
            `images that have no tag, or that are in text, are not included: ${countByPlace(unplanned)}`,
            ...elsewhereLines(unplanned),
          ].join('\n'),
        ]),
    ...[...charts].map(
      ([kind, count]) =>
        `${kind} (${count}): the charts can use more images than the values name, and these are not included; render the charts and read the output, or read the cluster with --from-cluster`,
    ),
  ]
}

const chartKinds: readonly string[] = [
  'helm.toolkit.fluxcd.io/HelmRelease',
  'helm.cattle.io/HelmChart',
  'argoproj.io/Application',
  'argoproj.io/ApplicationSet',
]

/** Counts the objects whose images come from a chart or another repository, by kind. */
export function countCharts({ objects }: Manifests, counts: Map<string, number>): void {
  for (const { value } of objects) {
    const kind = kindOf(value)
    if (chartKinds.includes(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
}
