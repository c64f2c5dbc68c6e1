import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { aborted } from '../../../src/async/abort.ts'
import { type Loop, runLoops } from '../../../src/controller/runtime/loops.ts'
import type { Logger } from '../../../src/telemetry/log.ts'

let failed: string[]
let stop: AbortController

beforeEach(() => {
  failed = []
  stop = new AbortController()
})
afterEach(() => stop.abort())

const log = { error: () => undefined } as unknown as Logger
const run = (loops: readonly Loop[]) =>
  runLoops(loops, { log, loopFailed: (name) => failed.push(name) }, stop.signal)

describe('runLoops', () => {
  it('restarts a loop that fails while the others run on', async () => {
    let starts = 0
    let others = 0
    const flaky: Loop = {
      name: 'flaky',
      run: async (signal) => {
        starts += 1
        if (starts === 1) throw new Error('boom')
        await aborted(signal)
      },
    }
    const steady: Loop = {
      name: 'steady',
      run: async (signal) => {
        others += 1
        await aborted(signal)
      },
    }
    const ended = run([flaky, steady])
    await vi.waitFor(() => expect(starts).toBe(2), { timeout: 5_000 })
    stop.abort()
    await ended

    expect(failed).toEqual(['flaky'])
    expect(others).toBe(1)
  })

  it('runs until the signal aborts when there are no loops', async () => {
    let isEnded = false
    const ended = run([]).then(() => (isEnded = true))
    await new Promise(setImmediate)
    expect(isEnded).toBe(false)

    stop.abort()
    await ended
  })

  it('does not count an error after the signal has aborted', async () => {
    const loop: Loop = {
      name: 'late',
      run: async (signal) => {
        await aborted(signal)
        throw new Error('aborted')
      },
    }
    const ended = run([loop])
    stop.abort()
    await ended

    expect(failed).toEqual([])
  })
})
