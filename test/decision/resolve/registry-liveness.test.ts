import { describe, expect, it } from 'vitest'
import type { ManifestAnswer } from '../../../src/decision/resolve/manifest-source.ts'
import { createRegistryLiveness } from '../../../src/decision/resolve/registry-liveness.ts'
import { failed, found } from '../../support/manifest-answers.ts'

const noConnection = { ...failed('unreachable'), hasNoConnection: true }

function start() {
  const clock = { now: 0 }
  const liveness = createRegistryLiveness({
    now: () => clock.now,
    isMirror: (host) => host === 'mirror',
  })
  const answerOf = async (host: string, answer: ManifestAnswer) => {
    const source = liveness.observe({
      isListed: () => true,
      isProbed: () => true,
      prepare: () =>
        Promise.resolve({ credentialIdentity: '', send: () => Promise.resolve(answer) }),
    })
    const query = { host, repository: 'app', reference: '1', namespace: 'default' }
    await (await source.prepare(query)).send(new AbortController().signal)
  }
  const { isLive, isLookDue } = liveness
  return {
    clock,
    answerOf,
    isLive: (host: string) => isLive(host, clock.now),
    isLookDue: (host: string) => isLookDue(host, clock.now),
  }
}

describe('isLive', () => {
  it('is true for a registry that was not asked yet', () => {
    const { isLive, isLookDue } = start()

    expect([isLive('mirror'), isLookDue('mirror')]).toEqual([true, false])
  })

  it.each(['mirror', 'other'])(
    'is false for %s after a failed connection, until it answers',
    async (host) => {
      const { answerOf, isLive } = start()
      await answerOf(host, found())
      await answerOf(host, noConnection)
      expect(isLive(host)).toBe(false)

      await answerOf(host, failed('absent'))
      expect(isLive(host)).toBe(true)
    },
  )

  it('is false two seconds after the last answer of a mirror', async () => {
    const { clock, answerOf, isLive } = start()
    await answerOf('mirror', found())
    await answerOf('other', found())
    clock.now = 1_999
    expect(isLive('mirror')).toBe(true)

    clock.now = 2_000
    expect([isLive('mirror'), isLive('other')]).toEqual([false, true])
  })

  it.each([failed('unreachable', '503'), failed('timeout')])(
    'does not count $outcome $detail, which can be about one image',
    async (answer) => {
      const { clock, answerOf, isLive } = start()
      await answerOf('mirror', found())
      clock.now = 1_999
      await answerOf('mirror', answer)
      expect(isLive('mirror')).toBe(true)

      clock.now = 2_000
      expect(isLive('mirror')).toBe(false)
    },
  )
})

describe('isLookDue', () => {
  it('is true one second after the last answer of a mirror, and never for other registries', async () => {
    const { clock, answerOf, isLookDue } = start()
    await answerOf('mirror', found())
    await answerOf('other', found())
    clock.now = 999
    expect(isLookDue('mirror')).toBe(false)

    clock.now = 1_000
    expect([isLookDue('mirror'), isLookDue('other')]).toEqual([true, false])
  })
})
