/** Lists the running images that a registry does not have, or that could not be checked. */
import pLimit from 'p-limit'
import type { IsPlainHttp } from '../decision/fallback/registry-aliases.ts'
import type { KubeApi } from '../kube/api-client.ts'
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
  readonly resolve: AvailabilityDependencies
  readonly isPlainHttp: IsPlainHttp
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
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

/** Checks each running image once. Failures of registries are part of the result. Throws KubeError. */
export async function buildAtRiskReport(
  api: KubeApi,
  dependencies: AtRiskDependencies,
): Promise<AtRiskReport> {
  const { resolve, timeoutMs, parallelImages } = dependencies
  const used = await listUsedImages(api, dependencies)
  const limit = pLimit(parallelImages)
  const answers = new Map<string, Promise<Availability>>()
  const ask = ({ name, reference }: PulledImage): Promise<Availability> => {
    const asked =
      answers.get(name) ??
      limit(() => checkAvailability(resolve, reference, AbortSignal.timeout(timeoutMs)))
    answers.set(name, asked)
    return asked
  }
  const checked = await Promise.all(
    used.map(async (image) => ({ image, availability: await ask(image) })),
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
  api: KubeApi,
  { namespace, isPlainHttp }: AtRiskDependencies,
): Promise<readonly UsedImage[]> {
  const used = new Map<string, UsedImage>()
  const pods = { apiVersion: 'v1', resource: 'pods' }
  const ref = namespace === undefined ? pods : { ...pods, namespace }
  for await (const pod of api.list<KubeObject>(ref))
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
