/** For each image that belongs on a mirror because pods use it: whether the mirror has it, and if not, why. */
import type { FallbackTable } from '../decision/fallback/table.ts'
import { formatReference } from '../decision/reference/reference.ts'
import { findDrift } from '../mirror/drift.ts'
import { type MirrorState, mirrorStates, stateAfterCheck } from '../mirror/mirror-state.ts'
import { findWantedImages, type PodImages, type WantedImage } from '../mirror/wanted-images.ts'
import type { RegistryClient } from '../registry/registry-client.ts'

/** The names are the contract of `berth report --mirror -o json`. */
export interface MirrorReportLine {
  /** The name on the mirror. */
  readonly image: string
  /** The upstream image. */
  readonly from: string
  readonly row: string | null
  readonly pods: number
  readonly state: MirrorState
  readonly detail: string | null
}

export interface MirrorReport {
  readonly images: readonly MirrorReportLine[]
  /** The number of images, and how many of them have each state. */
  readonly summary: Readonly<Record<'images' | MirrorState, number>>
}

export interface MirrorReportOptions {
  readonly registries: RegistryClient
  readonly table: FallbackTable
  /** Images checked at once. */
  readonly jobs: number
  readonly signal: AbortSignal
}

/** Checks each image on its mirror and upstream. Failures of registries are part of the result. */
export async function buildMirrorReport(
  { registries, table, jobs, signal }: MirrorReportOptions,
  pods: readonly PodImages[],
): Promise<MirrorReport> {
  const { wanted, conflicts } = findWantedImages(table, pods)
  const all = [...wanted.values()]
  const pairs = all.map(({ pair }) => pair)
  const options = { signal, jobs, platforms: false, copiedDigests: () => null }
  const drifts = await findDrift(registries, pairs, options)
  const checked = drifts.flatMap((drift, index) => {
    const image = all[index]
    return image === undefined ? [] : [reportLine(image, stateAfterCheck(drift), drift.detail)]
  })
  const conflict = 'another image has this name on the mirror'
  const images = [
    ...checked,
    ...[...conflicts.values()].map((image) => reportLine(image, 'conflict', conflict)),
  ].toSorted((one, other) => (one.image < other.image ? -1 : one.image > other.image ? 1 : 0))
  const counts = mirrorStates.map((state) => [
    state,
    images.filter((image) => image.state === state).length,
  ])
  return {
    images,
    summary: { images: images.length, ...Object.fromEntries(counts) } as MirrorReport['summary'],
  }
}

function reportLine(
  { pair, uses }: WantedImage,
  state: MirrorState,
  detail: string | null,
): MirrorReportLine {
  return {
    image: formatReference(pair.destination),
    from: formatReference(pair.source),
    row: pair.row,
    pods: uses,
    state,
    detail,
  }
}
