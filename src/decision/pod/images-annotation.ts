/** The one annotation that Berth writes: what each image was, what it became, by which row, and why. */
import { annotations } from './sites.ts'
import { isObject } from '../../json/json.ts'

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

/** What an annotation can hold at the most, because all of a pod's together can (apimachinery, TotalAnnotationSizeLimitB). */
const maxLength = 256 * 1024

/** What the pod says of its sites, by their names. It may have been written by anybody, so it is read as a claim: see `askedImage`. */
export function readRecords(pod: unknown): ReadonlyMap<string, ImageRecord> {
  const value = annotations(pod)[imagesAnnotation]
  if (typeof value !== 'string' || value.length > maxLength) return new Map()
  try {
    const parsed: unknown = JSON.parse(value)
    const records = Array.isArray(parsed) ? parsed.flatMap(readRecord) : []
    return new Map(records.map((record) => [record.site, record]))
  } catch {
    return new Map()
  }
}

/**
 * The image that is decided on: what a record says the site held before it became what it holds now. A second look at
 * the same pod then asks the same question, and so gives the same answer. A forged record gains nothing: whatever image
 * it names is decided like any image that the pod could have named itself.
 */
export function requestedImage(
  records: ReadonlyMap<string, ImageRecord>,
  site: { readonly name: string; readonly image: string },
): string {
  const record = records.get(site.name)
  return record?.to === site.image ? record.from : site.image
}

/** A record of nothing but its five members: whatever else somebody put beside them is not carried on. */
function readRecord(value: unknown): ImageRecord[] {
  if (!isObject(value)) return []
  const { site, from, to, row, why } = value
  if (typeof site !== 'string' || typeof from !== 'string' || typeof to !== 'string') return []
  if (typeof why !== 'string' || (row !== null && typeof row !== 'string')) return []
  return [{ site, from, to, row, why }]
}
