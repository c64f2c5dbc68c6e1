/** Compares the mirrors with upstream on request, as `berth report --mirror` does. */
import type { Config } from '../config/config.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import type { PodImage } from '../report/inventory.ts'
import { mirrorNames } from '../mirror/wanted-images.ts'
import { buildMirrorReport, type ReportState } from '../report/mirror-report.ts'
import type { ImageList } from './image-list.ts'
import type { MirrorComparison } from './wire.ts'

/** Starts no second comparison while one is running: both callers get its result. */
export type CompareMirrors = (list: ComparedList) => Promise<MirrorComparison>

/** The images of pods, and their keys by the id of their row on the page. */
export type ComparedList = Pick<ImageList, 'images' | 'keys'>

export interface MirrorComparisonOptions {
  readonly config: Config
  readonly registries: RegistryClient
  /** Images compared at once. */
  readonly jobs: number
  readonly signal: AbortSignal
}

/** Lines that the page shows. The summary counts all. */
const maxLines = 20_000

/** Creates the comparison for one config. */
export function createMirrorComparison({
  config,
  registries,
  jobs,
  signal,
}: MirrorComparisonOptions): CompareMirrors {
  let running: Promise<MirrorComparison> | null = null

  async function compare({ images, keys }: ComparedList): Promise<MirrorComparison> {
    const counted = [...images.values()].filter(({ isNeverPulled }) => !isNeverPulled)
    const report = await buildMirrorReport(
      { registries, table: config.table, jobs, tryPush: false, signal },
      counted.map(({ image, pod }) => ({ images: [image], pod })),
    )
    const states = new Map<string, ReportState>()
    for (const { image, state } of report.images) states.set(image, worse(states.get(image), state))
    const rows: Record<string, ReportState> = {}
    for (const [id, key] of keys) {
      const image = images.get(key)
      const state = image === undefined ? undefined : stateOf(config, image, states)
      if (state !== undefined) rows[id] = state
    }
    return { at: Date.now(), ...report, images: report.images.slice(0, maxLines), rows }
  }

  return (list) => {
    running ??= compare(list).finally(() => {
      running = null
    })
    return running
  }
}

/** Returns the state of an image on all mirrors that it belongs on; undefined if it belongs on none. */
function stateOf(
  { table }: Config,
  { image, pod }: PodImage,
  states: ReadonlyMap<string, ReportState>,
): ReportState | undefined {
  let state: ReportState | undefined
  for (const name of mirrorNames(table, { images: [image], pod })) {
    const found = states.get(name)
    if (found !== undefined) state = worse(state, found)
  }
  return state
}

/** An image that differs is worse than one that is missing, of which nodes get the one from upstream. */
function worse(one: ReportState | undefined, other: ReportState): ReportState {
  if (one === undefined || one === 'mirrored') return other
  return other === 'drifted' ? other : one
}
