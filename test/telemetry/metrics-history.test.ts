import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Counter, Gauge, Registry } from 'prom-client'
import { recordHistory } from '../../src/telemetry/metrics-history.ts'

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 })
})

afterEach(() => {
  vi.useRealTimers()
})

const options = { stepMs: 60_000 }

it('takes samples at multiples of the step, and adds the values of now', async () => {
  const registry = new Registry()
  const labelNames = ['outcome'] as const
  const reviews = new Counter({ name: 'berth_admissions_total', help: 'x', labelNames, registers: [registry] }) // prettier-ignore
  const history = recordHistory(registry, options)
  reviews.inc({ outcome: 'patched' }, 3)
  reviews.inc({ outcome: 'denied' }, 2)
  await vi.advanceTimersByTimeAsync(25_000)
  reviews.inc({ outcome: 'patched' })
  await vi.advanceTimersByTimeAsync(60_000)
  reviews.inc({ outcome: 'error' })

  expect(await history.read()).toEqual({
    startedAt: expect.any(Number),
    stepMs: 60_000,
    series: ['reviews', 'denied', 'errors'],
    samples: [
      [1_020_000, 5, 2, 0],
      [1_080_000, 6, 2, 0],
      [1_085_000, 7, 2, 1],
    ],
  })
  history.stop()
})

it('keeps the samples of a day, and none after it is stopped', async () => {
  const registry = new Registry()
  const leader = new Gauge({ name: 'berth_controller_leader', help: 'x', registers: [registry] })
  leader.set(1)
  const history = recordHistory(registry, options)
  await vi.advanceTimersByTimeAsync(200 * 60_000)
  const { series, samples } = await history.read()
  history.stop()
  await vi.advanceTimersByTimeAsync(60 * 60_000)

  expect(series).toEqual(['leads'])
  expect(samples).toHaveLength(145)
  expect((await history.read()).samples).toHaveLength(145)
  expect(vi.getTimerCount()).toBe(0)
})

it('takes a sample for each step again after the clock was set back', async () => {
  const registry = new Registry()
  const leader = new Gauge({ name: 'berth_controller_leader', help: 'x', registers: [registry] })
  leader.set(1)
  let offset = 100 * 24 * 3_600_000
  const history = recordHistory(registry, { ...options, now: () => Date.now() + offset })
  await vi.advanceTimersByTimeAsync(60_000)
  offset = 0
  await vi.advanceTimersByTimeAsync(10 * 60_000)
  const { samples } = await history.read()
  history.stop()

  expect(samples).toHaveLength(12)
})

it('takes one sample for a step if its timer fires early', async () => {
  const registry = new Registry()
  const leader = new Gauge({ name: 'berth_controller_leader', help: 'x', registers: [registry] })
  leader.set(1)
  let early = 0
  const history = recordHistory(registry, { ...options, now: () => Date.now() - early })
  await vi.advanceTimersByTimeAsync(19_999)
  early = 1
  await vi.advanceTimersByTimeAsync(60_000)
  const { samples } = await history.read()
  history.stop()

  expect(samples.map(([at]) => at)).toEqual([1_020_000, 1_079_998])
})
