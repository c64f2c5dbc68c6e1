/** Lists the images of pods with what Berth decides about each, and counts. */
import { createHash } from 'node:crypto'
import type { Config } from '../config/config.ts'
import { podKey } from '../config/pod-key.ts'
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { isLeft } from '../decision/resolve/resolution.ts'
import { resolveWithoutProbing } from '../decision/resolve/resolve.ts'
import type { KubeObject } from '../kube/object.ts'
import type { FindAdmissionMode } from '../report/admission-mode.ts'
import { runsFromMirror } from '../report/cluster-report.ts'
import { createInventory, type PodImage } from '../report/inventory.ts'
import { readUnrecordedPod } from '../report/unprocessed-pods.ts'
import { createFlowCounter, type FlowCounter } from './flow.ts'
import type { CheckedLine } from './image-checks.ts'
import { imageWeight } from './limits.ts'
import type { ImageRow } from './wire.ts'

export interface ImageListOptions {
  readonly config: Config
  readonly findMode: FindAdmissionMode
  readonly checkOf: (key: string) => CheckedLine | null
  /** The UIDs of pods that cannot pull an image. */
  readonly failing: ReadonlySet<string>
}

export interface ImageList {
  readonly rows: ReadonlyMap<string, ImageRow>
  /** By the id of the row. */
  readonly keys: ReadonlyMap<string, string>
  readonly images: ReadonlyMap<string, PodImage>
  /** By the same keys: the pods, and what they run. */
  readonly uses: ReadonlyMap<string, readonly ImageUse[]>
  readonly flow: FlowCounter
  readonly pods: number
  readonly podsOnMirror: number
  readonly unprocessedPods: number
  /** Pods whose images are beyond the limit. */
  readonly leftOut: number
}

export interface ImageUse {
  readonly pod: KubeObject
  readonly image: string
}

/** How many pods of a row are in these states. */
interface Counts {
  readonly failing: number
  readonly unprocessed: number
}

/** Returns a function that lists at most `maxImages` images. It remembers the row of each image. */
export function createImageLister(
  maxImages: number,
): (pods: Iterable<KubeObject>, options: ImageListOptions) => ImageList {
  const facts = new Map<string, ImageFacts>()
  return (pods, options) => {
    const list = listImages(pods, { ...options, maxImages }, facts)
    for (const key of facts.keys()) if (!list.images.has(key)) facts.delete(key)
    return list
  }
}

type ListOptions = ImageListOptions & { readonly maxImages: number }

function listImages(
  pods: Iterable<KubeObject>,
  options: ListOptions,
  facts: Map<string, ImageFacts>,
): ImageList {
  const { config, checkOf } = options
  const hosts = createHostReader(config)
  const { images, uses, counts, ...totals } = countPods(pods, options)
  const flow = createFlowCounter()
  const rows = new Map<string, ImageRow>()
  const keys = new Map<string, string>()
  for (const [key, image] of images) {
    const known = facts.get(key) ?? factsOf(config, key, image, hosts)
    facts.set(key, known)
    const row = rowOf(config, image, {
      facts: known,
      counts: counts.get(key) ?? noCounts,
      check: checkOf(key),
      hosts,
    })
    rows.set(row.id, row)
    keys.set(row.id, key)
    for (const each of uses.get(key) ?? [])
      flow.add({ ...known, source: hosts(each.image), namespace: image.namespace })
  }
  return { rows, keys, images, uses, flow, ...totals }
}

const noCounts: Counts = { failing: 0, unprocessed: 0 }

type CountedPods = Omit<ImageList, 'rows' | 'keys' | 'flow'> & {
  readonly counts: ReadonlyMap<string, Counts>
}

function countPods(
  all: Iterable<KubeObject>,
  { config, findMode, checkOf, failing, maxImages }: ListOptions,
): CountedPods {
  const inventory = createInventory({ podKey: (pod) => podKey(config, pod), findMode })
  const counts = new Map<string, Counts>()
  const uses = new Map<string, ImageUse[]>()
  const isUnprocessed = (pod: KubeObject) =>
    config.mode === 'enforce' &&
    readUnrecordedPod(config.table, pod) !== null &&
    findMode(pod).mode === 'enforce'
  let [pods, podsOnMirror, unprocessedPods, leftOut, weight] = [0, 0, 0, 0, 0]
  for (const pod of all) {
    if (weight >= maxImages) {
      leftOut += 1
      continue
    }
    const added = inventory.add(pod)
    const moved = added.filter(({ key }) => isMoved(checkOf(key)))
    const missed = new Set(moved.length > 0 && isUnprocessed(pod) ? moved : [])
    const isFailing = failing.has(pod.metadata.uid ?? '')
    pods += 1
    if (added.length > 0 && added.every(({ image }) => runsFromMirror(config, image)))
      podsOnMirror += 1
    if (missed.size > 0) unprocessedPods += 1
    for (const each of added) {
      const { failing: before, unprocessed } = counts.get(each.key) ?? noCounts
      counts.set(each.key, {
        failing: before + Number(isFailing),
        unprocessed: unprocessed + Number(missed.has(each)),
      })
      const known = uses.get(each.key)
      if (known === undefined) {
        weight += imageWeight(each.image)
        uses.set(each.key, [{ pod, image: each.image }])
      } else known.push({ pod, image: each.image })
    }
  }
  return { images: inventory.images(), uses, counts, pods, podsOnMirror, unprocessedPods, leftOut }
}

/** The part of a row that needs no probe. */
interface ImageFacts {
  readonly id: string
  readonly upstream: string
  readonly row: string | null
  readonly left: boolean
}

function factsOf(
  config: Config,
  key: string,
  { image, pod, isNeverPulled }: PodImage,
  hosts: (image: string) => string,
): ImageFacts {
  const id = createHash('sha256').update(key).digest('base64url').slice(0, 16)
  const parsed = parseReference(image)
  const upstream = hosts(image)
  if (!parsed.ok || isNeverPulled) return { id, upstream, row: null, left: isNeverPulled }
  const resolution = resolveWithoutProbing(config, { reference: parsed.reference, pod })
  return { id, upstream, row: resolution.row, left: isLeft(resolution) }
}

interface RowParts {
  readonly facts: ImageFacts
  readonly counts: Counts
  readonly check: CheckedLine | null
  readonly hosts: (image: string) => string
}

function rowOf(
  config: Config,
  { image, namespace, runs, pods }: PodImage,
  { facts, counts, check, hosts }: RowParts,
): ImageRow {
  return {
    ...facts,
    image,
    namespace,
    sources: [...new Set(runs.map((each) => hosts(each)))],
    runs,
    pods,
    ...counts,
    pinned: runs.every((each) => each.includes('@sha256:')),
    onMirror: runs.every((each) => runsFromMirror(config, each)),
    left: check?.line.left ?? facts.left,
    mirrored: check?.line.mirrored ?? null,
    becomes: check?.line.becomes ?? null,
    why: check?.line.why ?? '',
    checkedAt: check?.at ?? null,
  }
}

function isMoved(check: CheckedLine | null): boolean {
  return check !== null && check.line.becomes !== null && check.line.becomes !== check.line.image
}

/** Returns a function that returns the registry of an image in its canonical spelling; empty for text that is not an image. */
function createHostReader({ table }: Config): (image: string) => string {
  const hosts = new Map<string, string>()
  return (image) => {
    const known = hosts.get(image)
    if (known !== undefined) return known
    const parsed = parseReference(image)
    const host = parsed.ok ? canonicalReference(parsed.reference, table.isPlainHttp).domain : ''
    hosts.set(image, host)
    return host
  }
}
