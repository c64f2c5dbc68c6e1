/**
 * What the controller knows about the availability of the images that run. Outlives a config, so that a reload does not
 * repeat the checks. Holds a bounded number of images.
 */
import type { IsPlainHttp } from '../decision/fallback/registry-aliases.ts'
import type { Reference } from '../decision/reference/reference.ts'
import { type Availability, type PulledImage, readPulledImage } from '../report/availability.ts'
import type { ImageSource, SourcedImage } from '../report/running-images.ts'

/** `gone`: two 404 responses, `confirmMs` apart, and no response since the first that the image exists. */
export type AvailabilityState = 'available' | 'gone' | 'unknown'

export interface CheckedImage {
  readonly name: string
  readonly reference: Reference
  /** The namespace of the pod that added it. */
  readonly namespace: string
  /** How many pods run it, by source. */
  readonly uses: Record<ImageSource, number>
  state: AvailabilityState
  /** Why the state is not `available`. */
  detail: string | null
  /** When the registry first responded 404 since it last had the image; null for never. */
  absentSince: number | null
  /** When to check next. All times are those of `performance.now()`. */
  nextAt: number
}

/** An image of a pod. Pods share it. */
export interface ImageUse {
  readonly source: ImageSource
  readonly image: CheckedImage
}

export interface AvailabilityTimes {
  /** Milliseconds between two checks of one image. */
  readonly intervalMs: number
  /** The minimum time between the two 404 responses that prove that an image is gone, in milliseconds. */
  readonly confirmMs: number
}

/** Each takes about 1 kB: host, path, tag and digest have limits. */
const maxImages = 10_000

/** One tenant must not fill the list: it can claim any upstream image in its pods' annotations. */
const maxImagesPerNamespace = 2_000

/** A registry that asks for a longer wait is asked once a day. */
const maxPauseMs = 86_400_000

/** For a 429 without Retry-After. */
const defaultPauseMs = 60_000

/** The maximum time until the next check of an image whose registry gave no answer. */
const retryMs = 600_000

export interface AvailabilityMemory {
  readonly images: ReadonlyMap<string, CheckedImage>
  /** Resets the counts of uses. */
  restart(): void
  /** Adds a pod. Leaves out images beyond the limit. */
  use(
    images: readonly SourcedImage[],
    namespace: string,
    isPlainHttp: IsPlainHttp,
  ): readonly ImageUse[]
  /** Removes a pod. Forgets images that no other pod uses. */
  release(uses: readonly ImageUse[]): void
  /** Forgets images that no pod uses. Call it after all pods were added. */
  forgetUnused(): void
  /** True if images were left out since the last restart. */
  readonly isFull: boolean
  /** Returns the image that is due first, or null, and the milliseconds until then. */
  next(now: number): { readonly image: CheckedImage | null; readonly waitMs: number }
  /** Stops the checks of a host that limits requests, for as long as it asks. */
  pause(host: string, availability: Availability, now: number): void
  clear(): void
}

export function createAvailabilityMemory({
  limit = maxImages,
  namespaceLimit = maxImagesPerNamespace,
}: { readonly limit?: number; readonly namespaceLimit?: number } = {}): AvailabilityMemory {
  const images = new Map<string, CheckedImage>()
  /** By host of the config. */
  const pauses = new Map<string, number>()
  /** How many images the pods of each namespace have added. */
  const added = new Map<string, number>()
  let isFull = false
  /** The time of the last check. New images wait for those that are already due. */
  let latest = 0

  function find(image: string, namespace: string, isPlainHttp: IsPlainHttp): CheckedImage | null {
    const pulled = readPulledImage(image, isPlainHttp)
    if (pulled === null) return null
    const known = images.get(pulled.name)
    if (known !== undefined) return known
    const count = added.get(namespace) ?? 0
    if (images.size >= limit || count >= namespaceLimit) {
      isFull = true
      return null
    }
    const created = createImage(pulled, namespace, latest)
    images.set(created.name, created)
    added.set(namespace, count + 1)
    return created
  }

  function forgetIfUnused({ name, namespace, uses: { registry, upstream } }: CheckedImage): void {
    if (registry + upstream > 0 || !images.delete(name)) return
    added.set(namespace, (added.get(namespace) ?? 0) - 1)
    if (added.get(namespace) === 0) added.delete(namespace)
  }

  return {
    images,
    restart() {
      isFull = false
      resetUses(images.values(), latest)
    },
    use: (sourced, namespace, isPlainHttp) =>
      sourced.flatMap(({ source, image: text }) => {
        const image = find(text, namespace, isPlainHttp)
        if (image === null) return []
        image.uses[source] += 1
        return [{ source, image }]
      }),
    release(uses) {
      for (const { source, image } of uses) {
        image.uses[source] -= 1
        forgetIfUnused(image)
      }
    },
    forgetUnused() {
      for (const image of images.values()) forgetIfUnused(image)
    },
    get isFull() {
      return isFull
    },
    next(now) {
      latest = now
      return findNext(images.values(), pauses, now)
    },
    pause: (host, { retryAfterMs }, now) =>
      void pauses.set(host, now + Math.min(retryAfterMs || defaultPauseMs, maxPauseMs)),
    clear() {
      images.clear()
      added.clear()
      pauses.clear()
    },
  }
}

function createImage(pulled: PulledImage, namespace: string, nextAt: number): CheckedImage {
  return {
    ...pulled,
    namespace,
    uses: { registry: 0, upstream: 0 },
    state: 'unknown',
    detail: 'not checked yet',
    absentSince: null,
    nextAt,
  }
}

function resetUses(images: Iterable<CheckedImage>, now: number): void {
  for (const image of images) {
    image.uses.registry = 0
    image.uses.upstream = 0
    // The config may list its host now.
    if (image.nextAt === Infinity) image.nextAt = now
  }
}

function findNext(
  images: Iterable<CheckedImage>,
  pauses: ReadonlyMap<string, number>,
  now: number,
): ReturnType<AvailabilityMemory['next']> {
  let first: CheckedImage | null = null
  let firstAt = Infinity
  for (const image of images) {
    const at = Math.max(image.nextAt, pauses.get(image.reference.domain) ?? 0)
    if (at >= firstAt) continue
    first = image
    firstAt = at
  }
  return { image: firstAt <= now ? first : null, waitMs: Math.max(0, firstAt - now) }
}

/** Records an answer. Returns the state before. An image that is gone stays gone until its registry has it again. */
export function recordAvailability(
  image: CheckedImage,
  { state, detail }: Availability,
  now: number,
  { intervalMs, confirmMs }: AvailabilityTimes,
): AvailabilityState {
  const before = image.state
  image.detail = detail
  if (state === 'available') {
    Object.assign(image, { state, absentSince: null, nextAt: now + intervalMs })
  } else if (state === 'unknown') {
    if (before !== 'gone') image.state = 'unknown'
    image.nextAt = now + Math.min(intervalMs, retryMs)
  } else {
    image.absentSince ??= now
    const provenAt = image.absentSince + confirmMs
    if (now >= provenAt) image.state = 'gone'
    image.nextAt = now >= provenAt ? now + intervalMs : provenAt
  }
  return before
}
