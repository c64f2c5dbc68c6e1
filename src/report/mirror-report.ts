/** For each image that belongs on a mirror because pods use it: whether the mirror has it, and if not, why. */
import pLimit from 'p-limit'
import type { FallbackTable } from '../decision/fallback/table.ts'
import { formatReference } from '../decision/reference/reference.ts'
import { findDrift } from '../mirror/drift.ts'
import { mirrorStates, stateAfterCheck } from '../mirror/mirror-state.ts'
import { findWantedImages, type PodImages, type WantedImage } from '../mirror/wanted-images.ts'
import { tryUpload } from '../registry/blobs/blob-upload.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import { createRegistryStore } from '../registry/images/registry-store.ts'
import type { RegistryClient } from '../registry/registry-client.ts'

/**
 * `missing`: upstream has the image and the mirror does not, and whether the mirror accepts a push was not tried. `waiting`: the
 * mirror accepts a push.
 */
export const reportStates = [...mirrorStates, 'missing'] as const

export type ReportState = (typeof reportStates)[number]

/** The names are the contract of `berth report --mirror -o json`. */
export interface MirrorReportLine {
  /** The name on the mirror. */
  readonly image: string
  /** The upstream image. */
  readonly from: string
  readonly row: string | null
  readonly pods: number
  readonly state: ReportState
  readonly detail: string | null
}

export interface MirrorReport {
  readonly images: readonly MirrorReportLine[]
  /** The number of images, and how many of them have each state. */
  readonly summary: Readonly<Record<'images' | ReportState, number>>
}

export interface MirrorReportOptions {
  readonly registries: RegistryClient
  readonly table: FallbackTable
  /** Images checked at once. */
  readonly jobs: number
  /** Whether to start an upload to each repository that lacks an image, and to cancel it. */
  readonly tryPush: boolean
  readonly signal: AbortSignal
}

/** Checks each image on its mirror and upstream. Failures of registries are part of the result. */
export async function buildMirrorReport(
  options: MirrorReportOptions,
  pods: readonly PodImages[],
): Promise<MirrorReport> {
  const { registries, table, jobs, signal } = options
  const { wanted, conflicts } = findWantedImages(table, pods)
  const all = [...wanted.values()]
  const pairs = all.map(({ pair }) => pair)
  const checks = { signal, jobs, platforms: false, copiedDigests: () => null }
  const drifts = await findDrift(createRegistryStore(registries), pairs, checks)
  const findPushState = createPushCheck(options)
  const checked = await Promise.all(
    drifts.map(async (drift, index) => {
      const image = all[index]
      if (image === undefined) return []
      const state = stateAfterCheck(drift)
      const known =
        state === 'waiting' ? await findPushState(image) : { state, detail: drift.detail }
      return [reportLine(image, known)]
    }),
  )
  const conflict = 'another image has this name on the mirror'
  const images = [
    ...checked.flat(),
    ...[...conflicts.values()].map((image) =>
      reportLine(image, { state: 'conflict', detail: conflict }),
    ),
  ].toSorted((one, other) => (one.image < other.image ? -1 : one.image > other.image ? 1 : 0))
  const counts = reportStates.map((state) => [
    state,
    images.filter((image) => image.state === state).length,
  ])
  return {
    images,
    summary: { images: images.length, ...Object.fromEntries(counts) } as MirrorReport['summary'],
  }
}

type PushState = Pick<MirrorReportLine, 'state' | 'detail'>

const notTried: PushState = {
  state: 'missing',
  detail:
    'not known whether the mirror accepts it: use --try-push, or see berth_mirror_images and the log of the controller',
}

/** Returns a function that checks whether the repository of an image accepts a push. Each repository is tried once. */
function createPushCheck({
  registries,
  jobs,
  tryPush,
  signal,
}: MirrorReportOptions): (image: WantedImage) => Promise<PushState> {
  const limit = pLimit(jobs)
  const results = new Map<string, Promise<PushState>>()

  async function check(host: string, name: string): Promise<PushState> {
    try {
      await tryUpload(await registries.open(host, name, 'pull,push'), signal)
      return { state: 'waiting', detail: null }
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error
      const { outcome, message: detail } = error
      // The repository does not exist, but the image exists upstream.
      return { state: outcome === 'absent' ? 'missing' : outcome, detail }
    }
  }

  return ({ pair: { destination } }) => {
    if (!tryPush) return Promise.resolve(notTried)
    const { domain, path } = destination
    const key = `${domain}/${path}`
    const result = results.get(key) ?? limit(() => check(domain, path))
    results.set(key, result)
    return result
  }
}

function reportLine(
  { pair, uses }: WantedImage,
  { state, detail }: Pick<MirrorReportLine, 'state' | 'detail'>,
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
