/**
 * The lock file: which digest each image had when somebody looked, so that it is changed by a commit and not by a
 * registry. Text in, values out; where the file stands is for others to know.
 */
import { parse } from 'yaml'
import { canonicalReference } from '../fallback/registry-aliases.ts'
import { isDigest, parseReference } from '../reference/parse.ts'
import { formatReference, type Reference, withDefaultTag } from '../reference/reference.ts'

export interface LockedImage {
  /** The whole name with its tag, as `lockKey` writes it. */
  readonly image: string
  readonly digest: string
  /** The registry that served the digest. */
  readonly from: string
  /** The day on which this digest was first written down, `2026-11-21`. */
  readonly date: string
}

/** Images by name. */
export type ImageLock = ReadonlyMap<string, LockedImage>

export type ParseLockResult =
  { readonly ok: true; readonly lock: ImageLock } | { readonly ok: false; readonly message: string }

const apiVersion = 'berth.dev/v1alpha1'
const kind = 'BerthLock'

/** Reads a lock file. Never throws: what is wrong with it is a message that names the entry. */
export function parseLock(text: string): ParseLockResult {
  let value: unknown
  try {
    value = parse(text, { logLevel: 'error' })
  } catch {
    return wrong('is no YAML')
  }
  const file = value as { apiVersion?: unknown; kind?: unknown; images?: unknown } | null
  if (file?.apiVersion !== apiVersion || file.kind !== kind)
    return wrong(`is no lock file: it begins with apiVersion: ${apiVersion} and kind: ${kind}`)
  if (!Array.isArray(file.images)) return wrong('has no list `images`')
  const lock = new Map<string, LockedImage>()
  for (const [index, entry] of (file.images as unknown[]).entries()) {
    const read = readEntry(entry)
    if (typeof read === 'string') return wrong(`images[${index}] ${read}`)
    if (lock.has(read.image)) return wrong(`images[${index}] has ${read.image} a second time`)
    lock.set(read.image, read)
  }
  return { ok: true, lock }
}

/** The file: one entry for each image, in the order of the names, so that a diff shows what has changed and nothing else. */
export function formatLock(lock: ImageLock): string {
  // By code units: the same on every machine, whatever its locale.
  const images = [...lock.values()].sort((a, b) => (a.image < b.image ? -1 : 1))
  const head = `# Written by \`berth lock\`. A change of a digest is a change of what runs: review it as such.
apiVersion: ${apiVersion}
kind: ${kind}
images:`
  if (images.length === 0) return `${head} []\n`
  const entries = images.map(
    ({ image, digest, from, date }) =>
      `  - image: ${quoted(image)}\n    digest: ${digest}\n    from: ${quoted(from)}\n    date: '${date}'\n`,
  )
  return `${head}\n${entries.join('')}`
}

/** What an image is called in a lock file: its registry's usual name, and its tag also where it goes without saying. */
export function lockKey(reference: Reference): string {
  return formatReference(withDefaultTag(canonicalReference(reference)))
}

/** The digest that the lock has for an image; null for an image with a digest of its own, and for one that is not in it. */
export function lockedDigest(lock: ImageLock, reference: Reference): string | null {
  return reference.digest === null ? (lock.get(lockKey(reference))?.digest ?? null) : null
}

function readEntry(entry: unknown): LockedImage | string {
  const { image, digest, from, date } = (entry ?? {}) as Partial<Record<keyof LockedImage, unknown>>
  if (typeof image !== 'string' || typeof digest !== 'string' || typeof from !== 'string')
    return 'needs image, digest and from, each of them text'
  if (typeof date !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(date))
    return `has a date that is no day; write '2026-11-21'`
  const parsed = parseReference(image)
  if (!parsed.ok) return `has ${image}, which is no image name: ${parsed.message}`
  const key = lockKey(parsed.reference)
  if (parsed.reference.digest !== null || key !== image)
    return `has ${image}; the name with its tag and without a digest is ${key}`
  if (!isDigest(digest)) return `has ${digest}, which is no digest`
  return { image, digest, from, date }
}

function wrong(message: string): ParseLockResult {
  return { ok: false, message }
}

/** A host may be an IPv6 address in brackets, which is something else to YAML. */
function quoted(text: string): string {
  return /^[a-z0-9]/i.test(text) ? text : `'${text}'`
}
