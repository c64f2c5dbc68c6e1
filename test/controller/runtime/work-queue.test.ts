import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createWorkQueue } from '../../../src/controller/runtime/work-queue.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a work queue', () => {
  it('returns each name once, urgent names first', () => {
    const queue = createWorkQueue()
    for (const name of ['a', 'b', 'a']) queue.add(name, 'ordinary')
    queue.add('c', 'urgent')
    queue.add('b', 'urgent')

    expect([queue.next(), queue.next(), queue.next(), queue.next()]).toEqual(['c', 'b', 'a', null])
  })

  it('holds a name until its release, and returns it again if it was added meanwhile', () => {
    const queue = createWorkQueue()
    queue.add('a', 'ordinary')
    queue.next()
    queue.add('a', 'urgent')

    expect(queue.next()).toBeNull()
    queue.release('a', 'done')
    expect(queue.next()).toBe('a')
    queue.release('a', 'done')
    expect(queue.next()).toBeNull()
  })

  it('returns a failed name again after a delay that doubles', () => {
    const queue = createWorkQueue()
    queue.add('a', 'ordinary')
    const early = [500, 1_000, 2_000].map((delay) => {
      queue.next()
      queue.release('a', 'retry')
      vi.advanceTimersByTime(delay - 1)
      const name = queue.next()
      vi.advanceTimersByTime(1)
      return name
    })

    expect(early).toEqual([null, null, null])
    expect(queue.next()).toBe('a')
  })

  it('resolves `ready` when a name is added', async () => {
    const queue = createWorkQueue()
    const { signal } = new AbortController()
    const ready = queue.ready(signal)
    queue.add('a', 'ordinary')

    await expect(ready).resolves.toBeUndefined()
    await expect(queue.ready(signal)).resolves.toBeUndefined()
  })
})
