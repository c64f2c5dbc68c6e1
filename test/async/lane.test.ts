import { setImmediate } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createLane } from '../../src/async/lane.ts'

/** Works in turns of two steps each, on a clock that each step advances by half a turn. */
function startJobs() {
  const clock = { now: 0 }
  const lane = createLane(() => clock.now)
  const events: string[] = []
  const work = async (name: string, steps: number) => {
    await lane.next()
    for (let step = 0; step < steps; step++) {
      if (lane.isOver()) await lane.next()
      events.push(name)
      clock.now += 2.5
    }
  }
  return { events, work }
}

/** Takes up to 100 turns of a number of milliseconds while no timer fires. Returns how many there were. */
async function countTurns(millisecondsEach: number): Promise<number> {
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  const clock = { now: 0 }
  const lane = createLane(() => clock.now)
  let turns = 0
  const work = async () => {
    for (; turns < 100; turns++) {
      await lane.next()
      clock.now += millisecondsEach
    }
  }
  void work()
  for (let round = 0; round < 50; round++) await setImmediate()
  return turns
}

describe('a lane', () => {
  afterEach(() => vi.useRealTimers())

  it('gives jobs turns of 5 milliseconds, one after the other', async () => {
    const { events, work } = startJobs()
    await Promise.all([work('a', 4), work('b', 6)])

    expect(events.join('')).toBe('aabbaabbbb')
  })

  it('pauses after a turn for at least as long as the turn took', async () => {
    const lane = createLane()
    await lane.next()
    const started = performance.now()
    while (performance.now() < started + 30);
    const ended = performance.now()
    await lane.next()

    expect(performance.now() - ended).toBeGreaterThan(25)
  })

  it('waits for no timer between turns that take no time', async () => {
    expect(await countTurns(0)).toBeGreaterThan(10)
  })

  it('adds the pauses of short turns up to one of a millisecond', async () => {
    expect(await countTurns(0.2)).toBe(3)
  })

  it('lets a timer fire between two turns', async () => {
    const lane = createLane()
    const events: string[] = []
    const timer = setInterval(() => events.push('timer'), 1)
    for (let turn = 0; turn < 5; turn++) {
      await lane.next()
      const end = performance.now() + 5
      while (performance.now() < end);
      expect(lane.isOver()).toBe(true)
      events.push('turn')
    }
    clearInterval(timer)

    expect(events.join(' ')).toMatch(/^(timer )*(turn (timer )+){4}turn$/)
  })
})
