import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createWriteBackoff } from '../../../src/controller/runtime/write-backoff.ts'
import { createStore } from '../../../src/pull-secrets/cluster/object-store.ts'
import { createWorkQueue } from '../../../src/controller/runtime/work-queue.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('the queue', () => {
  it('gives each name once, what is urgent first', () => {
    const queue = createWorkQueue()
    for (const name of ['a', 'b', 'a']) queue.add(name, 'ordinary')
    queue.add('c', 'urgent')
    queue.add('b', 'urgent')

    expect([queue.take(), queue.take(), queue.take(), queue.take()]).toEqual(['c', 'b', 'a', null])
  })

  it('holds a name while it is worked on, and gives it again if it was added meanwhile', () => {
    const queue = createWorkQueue()
    queue.add('a', 'ordinary')
    queue.take()
    queue.add('a', 'urgent')

    expect(queue.take()).toBeNull()
    queue.release('a', 'done')
    expect(queue.take()).toBe('a')
    queue.release('a', 'done')
    expect(queue.take()).toBeNull()
  })

  it('gives what failed again after a pause, which doubles', () => {
    const queue = createWorkQueue()
    queue.add('a', 'ordinary')
    const pauses = [500, 1_000, 2_000].map((pause) => {
      queue.take()
      queue.release('a', 'retry')
      vi.advanceTimersByTime(pause - 1)
      const early = queue.take()
      vi.advanceTimersByTime(1)
      return early
    })

    expect(pauses).toEqual([null, null, null])
    expect(queue.take()).toBe('a')
  })

  it('wakes who waits for it', async () => {
    const queue = createWorkQueue()
    const { signal } = new AbortController()
    const ready = queue.ready(signal)
    queue.add('a', 'ordinary')

    await expect(ready).resolves.toBeUndefined()
    await expect(queue.ready(signal)).resolves.toBeUndefined()
  })
})

describe('patience', () => {
  it('is not needed three times, and then grows', () => {
    let now = 0
    const patience = createWriteBackoff(() => now)
    const waits = Array.from({ length: 6 }, () => {
      const wait = patience.delayMs('a')
      now += wait
      patience.recordWrite('a')
      return wait
    })

    expect(waits).toEqual([0, 0, 0, 5_000, 10_000, 20_000])
    expect(patience.delayMs('b')).toBe(0)
  })
})

describe('the store', () => {
  it('keeps the newer of what a watch and an answer say', () => {
    const store = createStore<{ resourceVersion: string }>()

    expect(store.put('n', 'a', { resourceVersion: '10' })).toBe(true)
    expect(store.put('n', 'a', { resourceVersion: '9' })).toBe(false)
    expect(store.get('n', 'a')).toEqual({ resourceVersion: '10' })
    store.drop('n', 'a')
    expect(store.of('n').size).toBe(0)
  })
})
