import { describe, expect, it } from 'vitest'
import { createNoiseGate } from '../../bench/lib/noise-gate.ts'

/** A gate whose probe takes 1 unit while it is created, and then these times in turn, two for each attempt. */
function gateWith(times: readonly number[], maxRepeats = 10) {
  let probes = 0
  const pending = [...times]
  const probe = () => (probes++ < 20 ? 1 : (pending.shift() ?? 1))
  return createNoiseGate({ probe, tolerance: 0.3, maxRepeats, pauseMs: 0, report: () => undefined })
}

/** Returns 1, 2, 3 … */
function counter() {
  let calls = 0
  return () => Promise.resolve(++calls)
}

describe('the noise gate', () => {
  it('runs a quiet round once', async () => {
    const gate = gateWith([1, 1.2])

    expect(await gate.round(counter())).toBe(1)
    expect(gate.counts()).toEqual({ rounds: 1, repeated: 0, disturbed: 0 })
  })

  it.each([
    ['before', [2, 1]],
    ['after', [1, 2]],
  ])('repeats a round if the probe is slow %s it', async (_, times) => {
    const gate = gateWith(times)

    expect(await gate.round(counter())).toBe(2)
    expect(gate.counts()).toEqual({ rounds: 1, repeated: 1, disturbed: 0 })
  })

  it('repeats a round if the probe is slow between two of its measurements', async () => {
    const gate = gateWith([1, 2, 1])
    const next = counter()
    const round = (look: () => void) => {
      look()
      return next()
    }

    expect(await gate.round(round)).toBe(2)
  })

  it('returns the least disturbed of three attempts', async () => {
    const gate = gateWith([3, 3, 2, 1, 4, 4])

    expect(await gate.round(counter())).toBe(2)
    expect(gate.counts()).toEqual({ rounds: 1, repeated: 2, disturbed: 1 })
  })

  it('repeats only so many rounds of a run', async () => {
    const gate = gateWith([2, 2, 2, 2, 2, 2], 1)
    await gate.round(counter())

    expect(await gate.round(counter())).toBe(1)
    expect(gate.counts()).toEqual({ rounds: 2, repeated: 1, disturbed: 2 })
  })

  it('fails when the round fails', async () => {
    const failing = gateWith([]).round(() => Promise.reject(new Error('wrong response')))

    await expect(failing).rejects.toThrow('wrong response')
  })
})
