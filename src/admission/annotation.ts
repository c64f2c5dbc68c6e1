/** The one annotation that Berth writes: what each image was, what it became, by which row, and why. */
import { annotations, isObject } from '../pod/sites.ts'

export const imagesAnnotation = 'berth.dev/images'

export interface ImageRecord {
  /** For example `containers/web`. */
  readonly site: string
  readonly from: string
  readonly to: string
  readonly row: string | null
  readonly why: string
}

export function writeRecords(records: readonly ImageRecord[]): string {
  return JSON.stringify(records)
}

/** What the pod says of itself. It may have been written by anybody, so it is read as a claim: see `askedImage`. */
export function readRecords(pod: unknown): ImageRecord[] {
  const value = annotations(pod)[imagesAnnotation]
  if (typeof value !== 'string') return []
  try {
    const parsed: unknown = JSON.parse(value)
    return Array.isArray(parsed) ? parsed.filter(isRecord) : []
  } catch {
    return []
  }
}

/**
 * The image that is decided on: what a record says the site held before it became what it holds now. A second look at
 * the same pod then asks the same question, and so gives the same answer. A forged record gains nothing: whatever image
 * it names is decided like any image that the pod could have named itself.
 */
export function askedImage(
  records: readonly ImageRecord[],
  site: { readonly name: string; readonly image: string },
): string {
  return (
    records.find((record) => record.site === site.name && record.to === site.image)?.from ??
    site.image
  )
}

function isRecord(value: unknown): value is ImageRecord {
  return (
    isObject(value) &&
    ['site', 'from', 'to', 'why'].every((key) => typeof value[key] === 'string') &&
    (value['row'] === null || typeof value['row'] === 'string')
  )
}
