/** Lists the running images that a registry does not have, or that could not be checked. */
import pLimit from 'p-limit'
import type { IsPlainHttp } from '../decision/fallback/registry-aliases.ts'
import type { KubeObject } from '../kube/object.ts'
import { compareText } from '../text/compare.ts'
import {
  checkAvailability,
  type Availability,
  type AvailabilityDependencies,
  type PulledImage,
  readPulledImage,
} from './availability.ts'
import { type ImageSource, runningImages } from './running-images.ts'

/** An image that may be gone. The names are the contract of `berth report --at-risk -o json`. */
export interface AtRiskLine {
  readonly image: string
  /** `registry`: nodes pull the image from there. `upstream`: Berth replaced the image. */
  readonly source: ImageSource
  /** `absent`: one 404 response. */
  readonly state: 'absent' | 'unknown'
  readonly detail: string
  readonly pods: number
  readonly namespaces: readonly string[]
}

export interface AtRiskReport {
  readonly images: readonly AtRiskLine[]
  readonly summary: {
    readonly images: number
    readonly available: number
    readonly absent: number
    readonly unknown: number
    /** How many of `unknown` a registry was asked for, without an answer. */
    readonly unanswered: number
  }
}

export interface AtRiskDependencies {
  readonly isPlainHttp: IsPlainHttp
  readonly checks: AvailabilityChecks
}

export interface AvailabilityChecks {
  /** Checks an image the first time, and returns the same result after that. */
  of(image: PulledImage): Promise<Availability>
  /** Forgets the results of all other images. */
  keep(names: ReadonlySet<string>): void
  /** How many checks are waiting or running. */
  pending(): number
}

export interface AvailabilityChecksOptions {
  readonly resolve: AvailabilityDependencies
  /** Milliseconds for one image. */
  readonly timeoutMs: number
  /** The maximum number of images that are checked at the same time. */
  readonly parallelImages: number
}

interface UsedImage extends PulledImage {
  readonly source: ImageSource
  readonly namespaces: Set<string>
  pods: number
}

/** Creates checks that ask the registry of each image once. */
export function createAvailabilityChecks({
  resolve,
  timeoutMs,
  parallelImages,
}: AvailabilityChecksOptions): AvailabilityChecks {
  const limit = pLimit(parallelImages)
  const answers = new Map<string, Promise<Availability>>()
  return {
    of({ name, reference }) {
      const asked =
        answers.get(name) ??
        limit(() => checkAvailability(resolve, reference, AbortSignal.timeout(timeoutMs)))
      answers.set(name, asked)
      return asked
    },
    keep(names) {
      for (const name of answers.keys()) if (!names.has(name)) answers.delete(name)
    },
    pending: () => limit.activeCount + limit.pendingCount,
  }
}

/** Checks each image that pods run. Failures of registries are part of the result. Throws what `pods` throws. */
export async function buildAtRiskReport(
  pods: AsyncIterable<KubeObject> | Iterable<KubeObject>,
  { isPlainHttp, checks }: AtRiskDependencies,
): Promise<AtRiskReport> {
  const used = await listUsedImages(pods, isPlainHttp)
  checks.keep(new Set(used.map(({ name }) => name)))
  const checked = await Promise.all(
    used.map(async (image) => ({ image, availability: await checks.of(image) })),
  )
  const count = (state: Availability['state']) =>
    checked.filter(({ availability }) => availability.state === state).length
  return {
    images: checked
      .flatMap(({ image, availability }) => atRiskLine(image, availability))
      .toSorted(
        (one, other) =>
          compareText(one.state, other.state) ||
          compareText(one.source, other.source) ||
          compareText(one.image, other.image),
      ),
    summary: {
      images: checked.length,
      available: count('available'),
      absent: count('absent'),
      unknown: count('unknown'),
      unanswered: checked.filter(({ availability }) => availability.isUnanswered).length,
    },
  }
}

function atRiskLine(
  { name: image, source, pods, namespaces }: UsedImage,
  { state, detail }: Availability,
): AtRiskLine[] {
  if (state === 'available') return []
  return [{ image, source, state, detail: detail ?? '', pods, namespaces: [...namespaces] }]
}

/** Returns each image once for each source. */
async function listUsedImages(
  pods: AsyncIterable<KubeObject> | Iterable<KubeObject>,
  isPlainHttp: IsPlainHttp,
): Promise<readonly UsedImage[]> {
  const used = new Map<string, UsedImage>()
  for await (const pod of pods)
    for (const { source, image } of runningImages(pod)) {
      const pulled = readPulledImage(image, isPlainHttp)
      if (pulled === null) continue
      const key = `${source} ${pulled.name}`
      const entry = used.get(key) ?? { ...pulled, source, namespaces: new Set(), pods: 0 }
      entry.namespaces.add(pod.metadata.namespace ?? '')
      entry.pods += 1
      used.set(key, entry)
    }
  return [...used.values()]
}
