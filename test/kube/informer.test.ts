import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startInformer } from '../../src/kube/informer.ts'
import { startFakeKube } from '../support/fake-kube.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('a watch', () => {
  it('counts as stalled three minutes after the last line, bookmarks included', async () => {
    const stream = new PassThrough()
    const stop = new AbortController()
    const reconnect = vi.fn<() => void>()
    const watch = vi.fn<() => Promise<PassThrough>>().mockResolvedValue(stream)
    startInformer(
      { ...startFakeKube().api, watch, reconnect },
      {
        ref: { apiVersion: 'v1', resource: 'pods' },
        transform: ({ metadata }) => metadata.name,
        signal: stop.signal,
      },
    )
    await vi.advanceTimersByTimeAsync(179_000)
    stream.write('{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"2"}}}\n')
    await vi.advanceTimersByTimeAsync(179_000)
    expect(reconnect).not.toHaveBeenCalled()

    await vi.advanceTimersByTimeAsync(1_000)
    expect(reconnect).toHaveBeenCalledOnce()
    stop.abort()
  })
})
