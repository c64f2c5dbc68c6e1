/** Compares the mirrors with upstream on request, as `berth report --mirror` does. */
import type { Config } from '../config/config.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import type { PodImage } from '../report/inventory.ts'
import { buildMirrorReport } from '../report/mirror-report.ts'
import type { MirrorComparison } from './wire.ts'

/** Starts no second comparison while one is running: both callers get its result. */
export type CompareMirrors = (images: Iterable<PodImage>) => Promise<MirrorComparison>

export interface MirrorComparisonOptions {
  readonly config: Config
  readonly registries: RegistryClient
  /** Images compared at once. */
  readonly jobs: number
  readonly signal: AbortSignal
}

/** Lines that the page shows. The summary counts all. */
const maxLines = 20_000

export function createMirrorComparison({
  config,
  registries,
  jobs,
  signal,
}: MirrorComparisonOptions): CompareMirrors {
  let running: Promise<MirrorComparison> | null = null

  async function compare(images: Iterable<PodImage>): Promise<MirrorComparison> {
    const counted = [...images].filter(({ isNeverPulled }) => !isNeverPulled)
    const report = await buildMirrorReport(
      { registries, table: config.table, jobs, tryPush: false, signal },
      counted.map(({ image, pod }) => ({ images: [image], pod })),
    )
    return { at: Date.now(), ...report, images: report.images.slice(0, maxLines) }
  }

  return (images) => {
    running ??= compare(images).finally(() => {
      running = null
    })
    return running
  }
}
