/** Reads the content of each copy from its sources, and keeps copies for a while when a source disappears. */
import { sleep } from '../../async/sleep.ts'
import type { Config } from '../../config/config.ts'
import type { CopySettings } from '../../config/copy-settings.ts'
import { type CopyContent, limitTotalSize, readContent } from '../content.ts'
import type { NamespaceMeta } from '../objects.ts'
import { exclusionReason, type WantedCopy } from '../plan.ts'
import type { ClusterCache } from './informers.ts'

export interface SourceReaderOptions {
  readonly settings: Config['pullSecretCopies']
  readonly cache: () => Pick<ClusterCache, 'isSourceRead' | 'source' | 'namespaces'>
  /** Milliseconds for which a source may be missing before its copies are deleted. */
  readonly graceMs?: number | undefined
  readonly signal: AbortSignal
  /** Called when a source has been read for the first time, and when its content becomes valid, absent or invalid. */
  readonly onContent: (copy: string, content: CopyContent) => void
  /** Called when the grace period of a source has ended, so that the copies have to be read again. */
  readonly onExpired: () => void
}

/** A source that someone deletes and creates again is missing for a moment. */
const defaultGraceMs = 30_000

interface GracePeriod {
  isOver: boolean
}

/** Returns a function that reads all copies. Their content is null while a source is unread, or missing and in its grace period. */
export function createSourceReader({
  settings,
  cache,
  graceMs = defaultGraceMs,
  signal,
  onContent,
  onExpired,
}: SourceReaderOptions): () => readonly WantedCopy[] {
  /** The copies without a source. */
  const missing = new Map<string, GracePeriod>()
  const states = new Map<string, string>()

  function isExpired(copy: string): boolean {
    const period = missing.get(copy) ?? startGracePeriod(copy)
    return period.isOver
  }

  function startGracePeriod(copy: string): GracePeriod {
    const period = { isOver: false }
    missing.set(copy, period)
    void endLater(copy, period)
    return period
  }

  async function endLater(copy: string, period: GracePeriod): Promise<void> {
    await sleep(graceMs, signal)
    if (signal.aborted || missing.get(copy) !== period) return
    period.isOver = true
    onExpired()
  }

  function report(copy: string, content: CopyContent): void {
    const state = content.kind === 'valid' ? 'valid' : `${content.kind}: ${content.reason}`
    if (states.get(copy) === state) return
    states.set(copy, state)
    onContent(copy, content)
  }

  return () =>
    settings.copies.map((copy): WantedCopy => {
      const { name, from } = copy
      const isRead = from.every((source) => cache().isSourceRead(source))
      if (!isRead) return { settings: copy, content: null }
      const content = readLimitedContent(copy, cache())
      report(name, content)
      if (content.kind !== 'absent') missing.delete(name)
      else if (!isExpired(name)) return { settings: copy, content: null }
      return { settings: copy, content }
    })
}

/** Reads the content of a copy, and refuses one that is too large for the number of its namespaces. */
export function readLimitedContent(
  copy: CopySettings,
  { source, namespaces }: Pick<ClusterCache, 'source' | 'namespaces'>,
): CopyContent {
  const content = readContent(copy, source)
  // Selects namespaces only for content that is too large for all of them.
  if (limitTotalSize(content, namespaces.size) === content) return content
  const isSelected = ([name, { labels }]: readonly [string, NamespaceMeta]) =>
    exclusionReason(copy, name, labels) === null
  return limitTotalSize(content, [...namespaces].filter(isSelected).length)
}
