/** The audit log of copies: a file with one JSON line for each image, which is only ever appended to. */
import { appendFileSync, readFileSync } from 'node:fs'
import { BerthError } from '../errors.ts'
import { destinationName, type ImagePair } from './image-pair.ts'
import { type CopyResult, resultRecord } from './copy-result.ts'
import { describeFileError } from '../files/describe-file-error.ts'

/**
 * Returns a function that appends the result of a copy. Throws `usage` at once if the file cannot be written, so that no
 * copy goes unrecorded. Without a file nothing is recorded.
 */
export function appendAuditLog(file: string | undefined): (result: CopyResult) => void {
  if (file === undefined) return () => undefined
  append(file, '')
  return (result) =>
    append(file, `${JSON.stringify({ time: new Date().toISOString(), ...resultRecord(result) })}\n`)
}

function append(file: string, line: string): void {
  try {
    appendFileSync(file, line, { mode: 0o644 })
  } catch (cause) {
    const why = describeFileError(cause)
    throw new BerthError('usage', `${file} cannot be written: ${why}; --audit-log takes a file`, {
      cause,
    })
  }
}

/**
 * Returns a function that knows the digests that were copied to a pair's destination; null for a pair without any. Skips
 * lines that do not parse, such as one that a full disk cut off.
 */
export function readAuditLog(
  file: string | undefined,
): (pair: ImagePair) => ReadonlySet<string> | null {
  if (file === undefined) return () => null
  const digests = new Map<string, Set<string>>()
  for (const line of readLines(file)) {
    const { destination, sourceDigest, status } = parseRecord(line)
    if (typeof destination !== 'string' || typeof sourceDigest !== 'string') continue
    // A dry run has written nothing.
    if (status === 'planned') continue
    const known = digests.get(destination) ?? new Set()
    digests.set(destination, known.add(sourceDigest))
  }
  return (pair) => digests.get(destinationName(pair)) ?? null
}

/** What the audit log records about the digest of a tag on a mirror. */
export interface LoggedDigest {
  /** The earliest known time at which the tag had the digest, in milliseconds since the epoch. */
  readonly since: number
  /** Whether `since` is the time at which Berth gave the tag this digest. */
  readonly isExact: boolean
  /** Whether Berth copied it. */
  readonly isCopy: boolean
}

/** Returns a function that looks up a tag with a digest. It returns null if the log does not have both, or if there is no file. */
export function readTagHistory(
  file: string | undefined,
): (name: string, digest: string) => LoggedDigest | null {
  const known = new Map<string, LoggedDigest & { readonly digest: string }>()
  for (const line of file === undefined ? [] : readLines(file)) {
    const { destination, mirrorDigest: digest, status, time } = parseRecord(line)
    if (typeof destination !== 'string' || typeof digest !== 'string') continue
    const at = typeof time === 'string' ? Date.parse(time) : Number.NaN
    if (Number.isNaN(at) || !tagStatuses.has(status)) continue
    const before = known.get(destination)
    // Before a copy, the tag did not have the digest, even if it had it once: it was removed or moved in between.
    const isSame = before?.digest === digest && status !== 'copied'
    const isCopy = status !== 'unneeded' || (isSame && before.isCopy)
    known.set(destination, {
      digest,
      since: isSame ? Math.min(before.since, at) : at,
      isExact: isSame ? before.isExact : status === 'copied',
      isCopy,
    })
  }
  return (name, digest) => {
    const found = known.get(name)
    return found?.digest === digest ? found : null
  }
}

/** With these, the tag had the digest at the time of the line. `berth mirror --prune` writes `unneeded`. */
const tagStatuses: ReadonlySet<unknown> = new Set(['copied', 'current', 'repaired', 'unneeded'])

/** A line of `berth mirror --prune`. */
export interface PruneRecord {
  readonly destination: string
  readonly status: 'unneeded' | 'removed'
  readonly mirrorDigest: string
}

/** Returns a function that appends such lines. Throws `usage` at once if the file cannot be written. */
export function appendPruneLog(
  file: string | undefined,
): (records: readonly PruneRecord[]) => void {
  if (file === undefined) return () => undefined
  append(file, '')
  return (records) => {
    const time = new Date().toISOString()
    append(file, records.map((each) => `${JSON.stringify({ time, ...each })}\n`).join(''))
  }
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    // The first copy creates the file.
    return []
  }
}

function parseRecord(line: string): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(line) ?? {}) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}
