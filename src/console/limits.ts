/** How much of a cluster the console follows. Tenants decide how many pods and images there are, and how long their names. */
import { getHeapStatistics } from 'node:v8'

export interface ConsoleLimits {
  readonly pods: number
  /** Characters of all pods as JSON, reduced. */
  readonly length: number
  /** Different images. One with a long name counts as several. */
  readonly images: number
}

/**
 * Returns the limits for the memory of this process. 20,000 pods are four times those that Kubernetes supports on 45 nodes.
 * The pods may take an eighth of the memory. An image takes 5 kB while the list of images is made, and most of the memory has
 * to stay free for the rest of the process: 160,000 images end a controller with the memory of deploy/base.
 */
export function limitsOfHeap(): ConsoleLimits {
  const bytes = getHeapStatistics().heap_size_limit
  return { pods: 20_000, length: bytes / 8, images: bytes / 16_384 }
}

/** Characters of an image name that count as one image. */
const imageLength = 256

/** Returns as how many images one counts. */
export function imageWeight(image: string): number {
  return Math.max(1, image.length / imageLength)
}
