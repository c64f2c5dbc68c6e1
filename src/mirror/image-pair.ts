import { formatReference, type Reference } from '../decision/reference/reference.ts'

/** An image to copy, and where to. */
export interface ImagePair {
  readonly source: Reference
  readonly destination: Reference
  /** The name of the row that selected the destination; null if the user named both. */
  readonly row: string | null
  /** The image layout that has the source, such as `oci:DIR`; undefined for a registry. */
  readonly sourceLayout?: string
  /** The image layout that gets the image; undefined for a registry. */
  readonly destinationLayout?: string
  /** Where the table puts the image later, if the destination is a layout. */
  readonly mirrors?: readonly Reference[]
}

/** Returns the source for people and logs: `HOST/PATH:TAG`, or as skopeo reads it `oci:DIR:HOST/PATH:TAG`. */
export function sourceName({ source, sourceLayout }: ImagePair): string {
  return inLayout(sourceLayout, source)
}

/** Returns the destination as `sourceName` returns the source. */
export function destinationName({ destination, destinationLayout }: ImagePair): string {
  return inLayout(destinationLayout, destination)
}

function inLayout(layout: string | undefined, reference: Reference): string {
  const name = formatReference(reference)
  return layout === undefined ? name : `${layout}:${name}`
}
