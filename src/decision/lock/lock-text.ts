/**
 * The lock file: the digest of each image, so that digests change by a commit and not by a push to a registry. Converts
 * between text and values; `config/lock-file.ts` reads the file.
 */
import { compareText } from '../../text/compare.ts'
import { isDigest, parseReference } from '../reference/parse.ts'
import { configLimits } from '../../yaml/limits.ts'
import { parseYaml } from '../../yaml/parse-yaml.ts'
import { type ImageLock, type LockedImage, lockKey } from './image-lock.ts'

export type ParseLockResult =
  { readonly ok: true; readonly lock: ImageLock } | { readonly ok: false; readonly message: string }

const apiVersion = 'berth.dev/v1alpha1'
const kind = 'BerthLock'

/** Parses a lock file. Never throws. The message continues a sentence that begins with the name of the file. */
export function parseLock(text: string): ParseLockResult {
  const { documents, errors, positionAt } = parseYaml(text, configLimits)
  const [error] = errors
  if (error !== undefined)
    return failure(`is not a lock file: line ${positionAt(error.offset).line}: ${error.message}`)
  const value: unknown = documents[0]?.toJS({ maxAliasCount: -1 })
  const file = value as
    { apiVersion?: unknown; kind?: unknown; images?: unknown } | null | undefined
  if (file?.apiVersion !== apiVersion || file.kind !== kind)
    return failure(`is not a lock file: it must have apiVersion: ${apiVersion} and kind: ${kind}`)
  if (!Array.isArray(file.images)) return failure('has no list `images`')
  const lock = new Map<string, LockedImage>()
  for (const [index, value] of (file.images as unknown[]).entries()) {
    const entry = parseEntry(value)
    if (typeof entry === 'string') return failure(`has an invalid images[${index}]: ${entry}`)
    if (lock.has(entry.image)) return failure(`has ${entry.image} twice, again in images[${index}]`)
    lock.set(entry.image, entry)
  }
  return { ok: true, lock }
}

/** Returns the text of a lock file: one entry for each image, in the order of their names, so that diffs are small. */
export function formatLock(lock: ImageLock): string {
  const images = [...lock.values()].sort((one, other) => compareText(one.image, other.image))
  const head = `# Written by \`berth lock\`. A new digest changes what runs: review it as such.
apiVersion: ${apiVersion}
kind: ${kind}
images:`
  if (images.length === 0) return `${head} []\n`
  const entries = images.map(
    ({ image, digest, from, date }) =>
      `  - image: ${quote(image)}\n    digest: ${digest}\n    from: ${quote(from)}\n    date: '${date}'\n`,
  )
  return `${head}\n${entries.join('')}`
}

/** Returns the entry, or why it is invalid. */
function parseEntry(value: unknown): LockedImage | string {
  const { image, digest, from, date } = (value ?? {}) as Partial<Record<keyof LockedImage, unknown>>
  if (typeof image !== 'string' || typeof digest !== 'string' || typeof from !== 'string')
    return 'image, digest and from are required, and must be text'
  if (typeof date !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(date))
    return "the date is not a day; write for example '2026-11-21'"
  const parsed = parseReference(image)
  if (!parsed.ok) return `${image} is not a valid image: ${parsed.message}`
  const key = lockKey(parsed.reference)
  if (parsed.reference.digest !== null || key !== image)
    return `${image} is not a full image with a tag and without a digest; write ${key}`
  if (!isDigest(digest)) return `${digest} is not a valid digest`
  return { image, digest, from, date }
}

function failure(message: string): ParseLockResult {
  return { ok: false, message }
}

/** Quotes a host that is an IPv6 address in brackets, which YAML would read as a list. */
function quote(text: string): string {
  return /^[a-z0-9]/i.test(text) ? text : `'${text}'`
}
