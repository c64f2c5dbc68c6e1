import { describe, expect, it } from 'vitest'
import { createConcurrencyLimit } from '../../../src/webhook/server/concurrency-limit.ts'

const mebibyte = 1024 * 1024

describe('the concurrency limit', () => {
  it('accepts 1,200 requests at the same time', () => {
    const limit = createConcurrencyLimit(() => 0)
    const accepted = Array.from({ length: 1_500 }, () => limit.begin()).filter(Boolean)
    limit.end()

    expect(accepted).toHaveLength(1_200)
    expect([limit.begin(), limit.begin()]).toEqual([true, false])
  })

  it('accepts 48 MiB of large bodies at the same time', () => {
    const limit = createConcurrencyLimit(() => 0)
    const accepted = Array.from({ length: 8 }, () => limit.reserve(8 * mebibyte))
    limit.release(8 * mebibyte)

    expect(accepted).toEqual([true, true, true, true, true, true, false, false])
    expect(limit.reserve(8 * mebibyte)).toBe(true)
  })

  it('reports how long no request has begun, rejected requests included', () => {
    let now = 0
    const limit = createConcurrencyLimit(() => now)
    for (let request = 0; request < 1_201; request++) limit.begin()
    now = 7_000

    expect(limit.quietForMs()).toBe(7_000)
  })
})
