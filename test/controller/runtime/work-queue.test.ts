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
    queue.release('a')
    expect(queue.next()).toBe('a')
    queue.release('a')
    expect(queue.next()).toBeNull()
  })

  it('returns a delayed name at the earliest of its times, after the names that do not wait', () => {
    const queue = createWorkQueue()
    queue.addLater('a', 60_000)
    queue.addLater('a', 500)
    queue.addLater('a', 30_000)
    vi.advanceTimersByTime(499)
    const early = queue.next()
    vi.advanceTimersByTime(1)
    queue.add('b', 'ordinary')

    expect(early).toBeNull()
    expect([queue.next(), queue.next()]).toEqual(['b', 'a'])
    queue.release('a')
    vi.advanceTimersByTime(60_000)
    expect(queue.next()).toBeNull()
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
