import { describe, expect, it } from 'vitest'
import { createWriteBackoff } from '../../../src/controller/runtime/write-backoff.ts'

describe('a write backoff', () => {
  it('delays a write from the fourth time on, longer each time', () => {
    let now = 0
    const backoff = createWriteBackoff(() => now)
    const delays = Array.from({ length: 12 }, () => {
      const delay = backoff.delayMs('a')
      now += delay
      backoff.recordWrite('a')
      return delay
    })

    expect(delays.slice(0, 6)).toEqual([0, 0, 0, 5_000, 10_000, 20_000])
    expect(delays.at(-1)).toBe(600_000)
  })

  it('does not delay another write', () => {
    const backoff = createWriteBackoff(() => 0)
    for (let count = 0; count < 5; count++) backoff.recordWrite('a')

    expect(backoff.delayMs('a')).toBeGreaterThan(0)
    expect(backoff.delayMs('b')).toBe(0)
  })

  it('forgets a write that was not repeated for half an hour', () => {
    let now = 0
    const backoff = createWriteBackoff(() => now)
    for (let count = 0; count < 5; count++) backoff.recordWrite('a')
    now += 1_800_000
    backoff.recordWrite('b')
    backoff.recordWrite('a')

    expect(backoff.delayMs('a')).toBe(0)
  })
})
