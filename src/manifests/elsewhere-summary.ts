/** Describes images that Berth does not rewrite: one line for each place, with an example and what to do. */
import type { ElsewhereImage } from './elsewhere.ts'
import type { ImagePlace } from './other-images.ts'

/** An image and the file that it is in. */
export interface ElsewhereInFile extends ElsewhereImage {
  readonly file: string
}

const placeNames: Readonly<Record<ImagePlace, string>> = {
  'custom-resource': 'fields of custom resources',
  'environment-variable': 'environment variables',
  argument: 'arguments',
  'config-map': 'ConfigMaps',
  'helm-values': 'Helm values',
  annotation: 'annotations',
  other: 'other fields',
}

/** Lines of a summary. A repository can have hundreds of places; `-o json` has all of them. */
const maxLines = 20

/** Returns the number of images in each place: `3 in arguments, 2 in Helm values`. */
export function countByPlace(images: readonly ElsewhereImage[]): string {
  return [...Map.groupBy(images, ({ place }) => place)]
    .toSorted(([, one], [, other]) => other.length - one.length)
    .map(([place, those]) => `${those.length} in ${placeNames[place]}`)
    .join(', ')
}

/** Returns a line for each kind and field, with the first image, and with the entry of `workloads` that rewrites it. */
export function elsewhereLines(images: readonly ElsewhereInFile[]): string[] {
  const groups = [
    ...Map.groupBy(images, ({ kind, place, site }) =>
      [kind, place, place === 'custom-resource' ? site.replaceAll(/\d+/g, '') : ''].join(' '),
    ).values(),
  ]
  const lines = groups.flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { file, line, object, site, image, workload } = first
    const more = group.length > 1 ? `, and ${group.length - 1} more of this kind` : ''
    const title = object === '' ? '' : `${object}: `
    const advice = workload === null ? '' : `; to rewrite it, add to workloads: ${workload}`
    return [
      `  ${line === null ? file : `${file}:${line}`}: ${title}${site}: ${image}${more}${advice}`,
    ]
  })
  const rest = lines.length - maxLines
  return rest <= 0
    ? lines
    : [...lines.slice(0, maxLines), `  and ${rest} more places; -o json lists all`]
}
