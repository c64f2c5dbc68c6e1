import { describe, expect, it } from 'vitest'
import {
  createAvailabilityMemory,
  recordAvailability,
} from '../../src/controller/availability-memory.ts'
import type { Availability } from '../../src/report/availability.ts'

const times = { intervalMs: 3_600_000, confirmMs: 600_000 }
const result = (state: Availability['state'], retryAfterMs = 0): Availability => ({
  state,
  detail: state === 'available' ? null : state,
  isUnanswered: state === 'unknown',
  isLimited: retryAfterMs > 0,
  retryAfterMs,
})

/** A memory with one pod for each image. */
function memoryOf(...images: readonly string[]) {
  const memory = createAvailabilityMemory({ limit: 2 })
  const use = (image: string) => memory.use([{ source: 'registry', image }], 'shop', () => false)
  return { memory, use, used: images.flatMap(use).map(({ image }) => image) }
}

describe('createAvailabilityMemory', () => {
  it('holds a bounded number of images, each once for all its names', () => {
    const { memory, use } = memoryOf('nginx', 'docker.io/library/nginx:latest', 'redis:7')
    expect(memory.isFull).toBe(false)
    expect(use('memcached:1')).toEqual([])

    expect([...memory.images.keys()]).toEqual([
      'docker.io/library/nginx:latest',
      'docker.io/library/redis:7',
    ])
    expect(memory.isFull).toBe(true)
  })

  it('holds a bounded number of images of one namespace', () => {
    const memory = createAvailabilityMemory({ limit: 9, namespaceLimit: 1 })
    const use = (namespace: string, image: string) =>
      memory.use([{ source: 'upstream', image }], namespace, () => false)
    const first = use('tenant', 'a')
    expect(use('tenant', 'b')).toEqual([])
    expect(use('shop', 'c')).toHaveLength(1)
    memory.release(first)

    expect(use('tenant', 'b')).toHaveLength(1)
  })

  it('returns images that were due before new ones', () => {
    const memory = createAvailabilityMemory()
    const use = (image: string) => memory.use([{ source: 'registry', image }], 'shop', () => false)
    use('old')
    const first = memory.next(1_000).image
    if (first !== null) recordAvailability(first, result('available'), 1_000, times)
    memory.next(1_000 + times.intervalMs)
    for (const image of ['new:1', 'new:2']) use(image)

    expect(memory.next(2_000 + times.intervalMs).image).toBe(first)
  })

  it('forgets an image with its last pod', () => {
    const { memory, use } = memoryOf('nginx')
    const second = use('nginx:latest')
    memory.release(second)
    expect(memory.images.size).toBe(1)
    memory.restart()
    memory.forgetUnused()

    expect(memory.images.size).toBe(0)
  })

  it('pauses the checks of a registry that limits requests, for a day at most', () => {
    const { memory, used } = memoryOf('nginx', 'quay.io/app:1')
    memory.pause('docker.io', result('unknown', 3_600_000), 0)
    expect(memory.next(0).image).toBe(used[1])
    if (used[1] !== undefined) used[1].nextAt = Infinity
    expect(memory.next(0)).toEqual({ image: null, waitMs: 3_600_000 })
    memory.pause('docker.io', result('unknown', 1e12), 0)

    expect(memory.next(0).waitMs).toBe(86_400_000)
  })
})

describe('recordAvailability', () => {
  it('needs two 404 responses ten minutes apart, without a found image between them', () => {
    const [image] = memoryOf('nginx').used
    if (image === undefined) throw new Error('no image')
    const record = (state: Availability['state'], minutes: number) => {
      recordAvailability(image, result(state), minutes * 60_000, times)
      return [image.state, image.nextAt / 60_000]
    }

    expect(record('available', 0)).toEqual(['available', 60])
    expect(record('absent', 60)).toEqual(['available', 70])
    expect(record('absent', 65)).toEqual(['available', 70])
    expect(record('available', 70)).toEqual(['available', 130])
    expect(record('absent', 130)).toEqual(['available', 140])
    expect(record('unknown', 140)).toEqual(['unknown', 150])
    expect(record('absent', 150)).toEqual(['gone', 210])
    expect(record('unknown', 210)).toEqual(['gone', 220])
    expect(record('available', 220)).toEqual(['available', 280])
  })
})
