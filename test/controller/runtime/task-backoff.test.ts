import { describe, expect, it } from 'vitest'
import {
  createTaskBackoff,
  type TaskBackoff,
} from '../../../src/controller/runtime/task-backoff.ts'

const failed = { reason: null, retryAfterMs: 0 }

let now = 0
function create(): TaskBackoff {
  now = 0
  return createTaskBackoff(() => now)
}

/** Runs a task as soon as it may run, and returns the delays before each run. */
function delaysOf(backoff: TaskBackoff, runs: number, record: () => void): number[] {
  return Array.from({ length: runs }, () => {
    const delay = backoff.delayMs('a')
    now += delay
    record()
    return delay
  })
}

describe('a task that succeeds', () => {
  it('waits from the fourth time on, longer each time', () => {
    const backoff = create()
    const delays = delaysOf(backoff, 12, () => backoff.recordSuccess('a'))

    expect(delays.slice(0, 6)).toEqual([0, 0, 0, 5_000, 10_000, 20_000])
    expect(delays.at(-1)).toBe(600_000)
  })

  it('starts over after half an hour', () => {
    const backoff = create()
    for (let count = 0; count < 5; count++) backoff.recordSuccess('a')
    now += 1_800_000
    backoff.recordSuccess('b')
    backoff.recordSuccess('a')

    expect(backoff.delayMs('a')).toBe(0)
  })
})

describe('a task that fails', () => {
  it('waits twice as long after each failure, up to five minutes', () => {
    const backoff = create()
    const delays = delaysOf(backoff, 14, () => backoff.recordFailure('a', failed))

    expect(delays.slice(0, 5)).toEqual([0, 500, 1_000, 2_000, 4_000])
    expect(delays.at(-1)).toBe(300_000)
  })

  it('waits at least as long as the API server asks', () => {
    const backoff = create()
    backoff.recordFailure('a', { reason: null, retryAfterMs: 7_000 })

    expect(backoff.delayMs('a')).toBe(7_000)
  })

  it('keeps its reason until it succeeds, and then starts over', () => {
    const backoff = create()
    backoff.recordFailure('a', { reason: 'exceeded quota', retryAfterMs: 0 })
    const before = backoff.failure('a')
    backoff.recordSuccess('a')

    expect(before?.reason).toBe('exceeded quota')
    expect(backoff.failure('a')).toBeNull()
    expect(backoff.delayMs('a')).toBe(0)
  })

  it('does not delay another task', () => {
    const backoff = create()
    backoff.recordFailure('a', failed)
    for (let count = 0; count < 5; count++) backoff.recordSuccess('b')

    expect(backoff.delayMs('a')).toBeGreaterThan(0)
    expect(backoff.delayMs('b')).toBeGreaterThan(0)
    expect(backoff.delayMs('c')).toBe(0)
  })
})
