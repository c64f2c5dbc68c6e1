import { describe, expect, it } from 'vitest'
import { createNotifier } from '../../src/async/notifier.ts'
import { longestDelayMs } from '../../src/async/sleep.ts'

const { signal } = new AbortController()

describe('a notifier', () => {
  it('ends a wait when it is notified, before the wait or during it', async () => {
    const notifier = createNotifier()
    notifier.notify()
    await notifier.wait(longestDelayMs, signal)
    const waiting = notifier.wait(longestDelayMs, signal)
    notifier.notify()

    await expect(waiting).resolves.toBeUndefined()
  })

  it('ends one wait per notification', async () => {
    const notifier = createNotifier()
    notifier.notify()
    notifier.notify()
    await notifier.wait(longestDelayMs, signal)
    const second = notifier.wait(20, signal).then(() => 'timed out')

    expect(await second).toBe('timed out')
  })

  it('ends a wait when the time is over or the signal aborts', async () => {
    const notifier = createNotifier()

    await expect(notifier.wait(1, signal)).resolves.toBeUndefined()
    await expect(notifier.wait(longestDelayMs, AbortSignal.abort())).resolves.toBeUndefined()
  })
})
