import { describe, expect, it } from 'vitest'
import { createFairLimit } from '../../src/async/fair-limit.ts'

const never = new AbortController().signal

/** Records the order in which the waiting callers get slots. */
function startLimit(max: number, maxPerKey: number) {
  const limit = createFairLimit({ max, maxPerKey })
  const granted: string[] = []
  const acquire = async (key: string, signal = never) => {
    const isGranted = await limit.acquire(key, signal)
    granted.push(isGranted ? key : `${key} aborted`)
  }
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  return { limit, granted, acquire, settle }
}

describe('a fair limit', () => {
  it('limits the work of one key', async () => {
    const { limit, granted, acquire, settle } = startLimit(10, 2)
    for (let index = 0; index < 5; index++) void acquire('a')
    await settle()
    expect(granted).toEqual(['a', 'a'])
    limit.release('a')
    await settle()

    expect(granted).toEqual(['a', 'a', 'a'])
  })

  it('limits all work, and gives free slots to the keys in turn', async () => {
    const { limit, granted, acquire, settle } = startLimit(2, 2)
    for (let index = 0; index < 6; index++) void acquire('a')
    for (let index = 0; index < 2; index++) void acquire('b')
    void acquire('c')
    await settle()
    expect(granted).toEqual(['a', 'a'])
    for (let index = 0; index < 5; index++) {
      limit.release(granted[index] as string)
      await settle()
    }

    expect(granted.slice(2)).toEqual(['a', 'b', 'c', 'a', 'b'])
  })

  it('stops waiting when the signal aborts, and gives no slot to an aborted signal', async () => {
    const { limit, granted, acquire, settle } = startLimit(1, 1)
    const stop = new AbortController()
    await acquire('a')
    void acquire('a', stop.signal)
    void acquire('b')
    stop.abort()
    await settle()
    await acquire('a', stop.signal)
    limit.release('a')
    await settle()

    expect(granted).toEqual(['a', 'a aborted', 'a aborted', 'b'])
  })
})
