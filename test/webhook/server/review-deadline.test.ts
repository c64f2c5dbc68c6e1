import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createDeadline } from '../../../src/webhook/server/review-deadline.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

function start(url: string) {
  const response = new EventEmitter()
  const deadline = createDeadline(url, response as ServerResponse)
  return { deadline, signal: deadline.signal(), response }
}

describe('the deadline of a review', () => {
  it.each([
    // The API server rounds the timeout up by at most one second.
    ['/mutate?timeout=2s', 850],
    ['/mutate', 2_500],
    ['/mutate?timeout=30s', 2_500],
    ['/mutate?timeout=2s&timeout=2s', 2_500],
  ])('for %s aborts the signal after %i ms', (url, milliseconds) => {
    const { signal } = start(url)
    vi.advanceTimersByTime(milliseconds - 1)
    expect(signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    // The event loop reads sockets once more, see async/timeout.ts.
    vi.advanceTimersToNextTimer()

    expect(signal.aborted).toBe(true)
  })

  it('aborts the signal when the caller closes the connection', () => {
    const { signal, response } = start('/mutate')
    response.emit('close')

    expect(signal.aborted).toBe(true)
  })

  it('does not abort the signal after its end, and leaves no timer', () => {
    const { deadline, signal, response } = start('/mutate')
    deadline.end()
    response.emit('close')

    expect([signal.aborted, vi.getTimerCount()]).toEqual([false, 0])
  })

  it('sets no timer until the signal is used', () => {
    createDeadline('/mutate', new EventEmitter() as ServerResponse).end()

    expect(vi.getTimerCount()).toBe(0)
  })
})
