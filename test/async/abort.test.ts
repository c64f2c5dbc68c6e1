import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { aborted, linkAbort, rejectOnAbort, untilAborted } from '../../src/async/abort.ts'

const never = new Promise<never>(() => {})

function listenersOf(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length
}

describe('untilAborted', () => {
  it('settles as the work does and removes its listener', async () => {
    const { signal } = new AbortController()

    expect(await untilAborted(Promise.resolve(1), signal, null)).toBe(1)
    await expect(untilAborted(Promise.reject(new Error('x')), signal, null)).rejects.toThrow('x')
    expect(listenersOf(signal)).toBe(0)
  })

  it('resolves to the other value when the signal aborts first', async () => {
    const controller = new AbortController()
    const result = untilAborted(never, controller.signal, null)
    controller.abort()

    expect(await result).toBeNull()
  })

  it('prefers work that has settled to a signal that has aborted', async () => {
    expect(await untilAborted(Promise.resolve(1), AbortSignal.abort(), null)).toBe(1)
    expect(await untilAborted(never, AbortSignal.abort(), null)).toBeNull()
  })
})

describe('rejectOnAbort', () => {
  it('rejects with the reason of the signal', async () => {
    const controller = new AbortController()
    const result = rejectOnAbort(never, controller.signal)
    controller.abort(new Error('too late'))

    await expect(result).rejects.toThrow('too late')
    await expect(rejectOnAbort(never, controller.signal)).rejects.toThrow('too late')
  })

  it('settles as the work does and removes its listener', async () => {
    const { signal } = new AbortController()

    expect(await rejectOnAbort(Promise.resolve(1), signal)).toBe(1)
    expect(listenersOf(signal)).toBe(0)
  })
})

describe('aborted', () => {
  it('resolves at once for a signal that has aborted, and later for one that aborts', async () => {
    const controller = new AbortController()
    const later = aborted(controller.signal)
    controller.abort()

    await expect(later).resolves.toBeUndefined()
    await expect(aborted(controller.signal)).resolves.toBeUndefined()
  })
})

describe('linkAbort', () => {
  it('aborts with the reason of its parent', () => {
    const parent = new AbortController()
    const link = linkAbort(parent.signal)
    parent.abort('SIGTERM')

    expect([link.signal.aborted, link.signal.reason]).toEqual([true, 'SIGTERM'])
    expect(linkAbort(parent.signal).signal.reason).toBe('SIGTERM')
  })

  it('aborts alone, and leaves no listener behind once unlinked', () => {
    const parent = new AbortController()
    const link = linkAbort(parent.signal)
    link.abort()
    link.unlink()

    expect([link.signal.aborted, parent.signal.aborted]).toEqual([true, false])
    expect(listenersOf(parent.signal)).toBe(0)
  })
})
