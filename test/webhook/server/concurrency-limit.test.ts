import { describe, expect, it } from 'vitest'
import {
  type ConcurrencyLimit,
  createConcurrencyLimit,
  type RequestSlot,
} from '../../../src/webhook/server/concurrency-limit.ts'

const mebibyte = 1024 * 1024

function begin(
  limit: ConcurrencyLimit,
  caller: string,
  abort: () => void = () => undefined,
): RequestSlot | null {
  const slot = limit.begin(caller)
  if (slot !== null) slot.onAbort = abort
  return slot
}

/** Begins requests whose bodies have arrived, so that they make room for no other. */
function beginMany(limit: ConcurrencyLimit, caller: string, count: number): RequestSlot[] {
  return Array.from({ length: count }, () => begin(limit, caller)).flatMap((slot) => {
    slot?.bodyArrived()
    return slot ?? []
  })
}

describe('the concurrency limit', () => {
  it('accepts 800 requests at the same time, and 600 of one caller', () => {
    const limit = createConcurrencyLimit(() => 0)
    const [one = [], two = []] = ['one', 'two'].map((caller) => beginMany(limit, caller, 1_000))
    one[0]?.end()
    one[0]?.end()

    expect([one.length, two.length]).toEqual([600, 200])
    expect(beginMany(limit, 'two', 2)).toHaveLength(1)
    expect(begin(limit, 'three')).toBeNull()
    expect(limit.inFlight().requests).toBe(800)
  })

  it('accepts 32 MiB of large bodies at the same time, and 24 MiB of one caller', () => {
    const limit = createConcurrencyLimit(() => 0)
    const [one = [], two = []] = ['one', 'two'].map((caller) => beginMany(limit, caller, 4))
    const use = (slots: readonly RequestSlot[]) =>
      slots.map((slot) => slot.use('bodyBytes', 8 * mebibyte))

    expect(use(one)).toEqual([true, true, true, false])
    expect(use(two)).toEqual([true, false, false, false])
    one[0]?.use('bodyBytes', 0)
    expect(two[1]?.use('bodyBytes', 8 * mebibyte)).toBe(true)
  })

  it('ends the oldest unfinished request of the caller with the most, for another caller', () => {
    const limit = createConcurrencyLimit(() => 0)
    const ended: string[] = []
    beginMany(limit, 'api-server', 200)
    for (let index = 0; index < 600; index++)
      begin(limit, 'attacker', () => ended.push(`attacker ${index}`))
    const accepted = begin(limit, 'api-server', () => ended.push('api-server'))

    expect(accepted).not.toBeNull()
    expect(ended).toEqual(['attacker 0'])
    expect(limit.inFlight().requests).toBe(800)
  })

  it('ends an unfinished request of the same caller only after a second', () => {
    let now = 0
    const limit = createConcurrencyLimit(() => now)
    const ended: number[] = []
    for (let index = 0; index < 600; index++) begin(limit, 'one', () => ended.push(index))

    expect(begin(limit, 'one')).toBeNull()
    now = 1_000
    expect(begin(limit, 'one')).not.toBeNull()
    expect(ended).toEqual([0])
  })

  it('ends late large bodies for the body of another caller', () => {
    let now = 0
    const limit = createConcurrencyLimit(() => now)
    const ended: string[] = []
    const slots = ['a', 'b', 'c', 'd'].map((caller) =>
      begin(limit, caller, () => ended.push(caller)),
    )
    for (const slot of slots) slot?.use('bodyBytes', 8 * mebibyte)
    now = 1_000
    const body = begin(limit, 'api-server')

    expect(body?.use('bodyBytes', 5 * mebibyte)).toBe(true)
    expect(ended).toEqual(['a'])
    expect(slots[0]?.use('bodyBytes', 1)).toBe(false)
    expect(limit.inFlight()).toEqual({ requests: 4, bodyBytes: 29 * mebibyte, parsedBytes: 0 })
  })

  it('does not end a late body for more of itself', () => {
    let now = 0
    const limit = createConcurrencyLimit(() => now)
    const ended: string[] = []
    const slot = begin(limit, 'one', () => ended.push('one'))
    slot?.use('bodyBytes', 24 * mebibyte)
    now = 5_000

    expect(slot?.use('bodyBytes', 25 * mebibyte)).toBe(false)
    expect(ended).toEqual([])
  })

  it('has no memory for more reviews while those that wait take too much', () => {
    const limit = createConcurrencyLimit(() => 0)
    const [one, two] = ['one', 'two'].map((caller) => begin(limit, caller))
    const hasMemory = (caller: string) => begin(limit, caller)?.hasMemory()
    one?.charge(73 * mebibyte)

    expect([hasMemory('one'), hasMemory('three')]).toEqual([false, true])
    two?.charge(24 * mebibyte)
    expect(hasMemory('three')).toBe(false)
    one?.end()
    expect(hasMemory('one')).toBe(true)
  })

  it('reports how long no request has begun, rejected requests included', () => {
    let now = 0
    const limit = createConcurrencyLimit(() => now)
    for (let request = 0; request < 801; request++) begin(limit, 'one')
    now = 7_000

    expect(limit.quietForMs()).toBe(7_000)
  })
})
