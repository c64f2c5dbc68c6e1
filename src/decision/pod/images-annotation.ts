/** Reads and writes the annotation `berth.dev/images`: for each site what its image was, what it became, and why. */
import { isObject } from '../../json/json.ts'
import { isDigest, parseReference } from '../reference/parse.ts'
import { defaultTag } from '../reference/reference.ts'
import { autoImage } from '../resolve/decide-by-row.ts'
import { annotations } from './sites.ts'

export const imagesAnnotation = 'berth.dev/images'

export interface ImageRecord {
  /** The name of the site, for example `containers/web`. */
  readonly site: string
  readonly from: string
  readonly to: string
  readonly row: string | null
  readonly why: string
}

/** Limit of the API server for all annotations of an object, keys and values (apimachinery, TotalAnnotationSizeLimitB). */
export const maxAnnotationBytes: number = 256 * 1024

export interface WrittenRecords {
  /** A JSON list. */
  readonly text: string
  /** The records that did not fit. */
  readonly omitted: number
}

/** Writes as many records as fit into `maxBytes`, in their order. */
export function writeRecords(records: readonly ImageRecord[], maxBytes: number): WrittenRecords {
  const texts: string[] = []
  let bytes = '[]'.length
  for (const record of records) {
    const text = JSON.stringify(record)
    bytes += Buffer.byteLength(text) + (texts.length === 0 ? 0 : ','.length)
    if (bytes > maxBytes) break
    texts.push(text)
  }
  return { text: `[${texts.join(',')}]`, omitted: records.length - texts.length }
}

/** Returns the records of a pod by site. Anyone who can write the pod can write them, so do not trust them. */
export function readRecords(pod: unknown): ReadonlyMap<string, ImageRecord> {
  const value = annotations(pod)[imagesAnnotation]
  if (typeof value !== 'string' || value.length > maxAnnotationBytes) return new Map()
  try {
    const parsed: unknown = JSON.parse(value)
    const records = Array.isArray(parsed) ? parsed.flatMap(readRecord) : []
    return new Map(records.map((record) => [record.site, record]))
  } catch {
    return new Map()
  }
}

/**
 * Returns the image that the pod requested: the `from` of the site's record if Berth wrote the current image, else the
 * current image. A second review then decides the same image, and gets the same result. A forged record is harmless: the
 * pod could have named that image itself (docs/adr/0003). A record with a `from` that Berth would not have
 * decided is forged, and does not count.
 *
 * If another webhook has added a digest, as Kyverno does, the pod requested `from` with this digest.
 */
export function requestedImage(
  records: ReadonlyMap<string, ImageRecord>,
  site: { readonly name: string; readonly image: string },
): string {
  const record = records.get(site.name)
  if (record === undefined || record.from === autoImage) return site.image
  const added = addedDigest(record, site.image)
  const from = parseReference(record.from)
  if (added === null || !from.ok) return site.image
  const tag = added === '' || from.reference.tag !== null ? '' : `:${defaultTag}`
  const requested = record.from + tag + added
  // With a digest it can be too long. An image that does not parse stays as it is, and would pass a row that denies it.
  return parseReference(requested).ok ? requested : site.image
}

/** Returns what follows `to` in the image: nothing, or a digest. Null for another image. */
function addedDigest({ from, to }: ImageRecord, image: string): string | null {
  if (image === to) return ''
  const added = image.startsWith(`${to}@`) ? image.slice(to.length) : ''
  return isDigest(added.slice(1)) && !`${from}${to}`.includes('@') ? added : null
}

/** Returns the record with only its five members: the annotation is written again from it. */
function readRecord(value: unknown): ImageRecord[] {
  if (!isObject(value)) return []
  const { site, from, to, row, why } = value
  if (typeof site !== 'string' || typeof from !== 'string' || typeof to !== 'string') return []
  if (typeof why !== 'string' || (row !== null && typeof row !== 'string')) return []
  return [{ site, from, to, row, why }]
}
