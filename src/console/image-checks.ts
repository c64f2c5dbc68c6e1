/**
 * Checks the images of a cluster on their registries, as `berth report` does: each new image, an old result again, and all of
 * them on request. Runs a few checks at a time, to limit the load on the registries.
 */
import pLimit from 'p-limit'
import { reportLine, type ReportDependencies, type ReportLine } from '../report/cluster-report.ts'
import type { PodImage } from '../report/inventory.ts'

export interface CheckedLine {
  readonly line: ReportLine
  /** Milliseconds since 1970. */
  readonly at: number
}

export interface ImageChecks {
  /** Starts the checks of images that are new or were checked long ago, and forgets those that are gone. */
  follow(images: ReadonlyMap<string, PodImage>): void
  /** Checks all images again. */
  again(): void
  of(key: string): CheckedLine | null
  /** How many checks are waiting or running. */
  pending(): number
}

export interface ImageChecksOptions extends ReportDependencies {
  /** Milliseconds after which an image is checked again. Infinity for never. */
  readonly checkAgainMs: number
  readonly onChange: () => void
  readonly signal: AbortSignal
}

/** Milliseconds after which an image is checked again whose registry did not answer. */
const retryMs = 60_000

/** Starts no check before `follow` is called. Starts none after the signal aborts. */
export function createImageChecks({
  checkAgainMs,
  onChange,
  signal,
  ...report
}: ImageChecksOptions): ImageChecks {
  const limit = pLimit(report.parallelImages)
  const lines = new Map<string, CheckedLine>()
  const waiting = new Set<string>()
  let images: ReadonlyMap<string, PodImage> = new Map()

  async function check(key: string): Promise<void> {
    const image = images.get(key)
    if (image !== undefined && !signal.aborted) {
      const line = await reportLine(report, image)
      if (images.has(key)) lines.set(key, { line, at: Date.now() })
    }
    waiting.delete(key)
    onChange()
  }

  function start(key: string): void {
    if (waiting.has(key)) return
    waiting.add(key)
    void limit(() => check(key))
  }

  function isDue(known: CheckedLine | undefined): boolean {
    if (known === undefined) return true
    return Date.now() >= known.at + (known.line.mirrored === null ? retryMs : checkAgainMs)
  }

  return {
    follow(now) {
      images = now
      for (const key of lines.keys()) if (!now.has(key)) lines.delete(key)
      for (const key of now.keys()) if (isDue(lines.get(key))) start(key)
    },
    again() {
      for (const key of images.keys()) start(key)
    },
    of: (key) => lines.get(key) ?? null,
    pending: () => waiting.size,
  }
}
