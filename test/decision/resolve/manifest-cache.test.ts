import { describe, expect, it } from 'vitest'
import { createManifestCache } from '../../../src/decision/resolve/manifest-cache.ts'
import type {
  ManifestAnswer,
  ManifestSource,
} from '../../../src/decision/resolve/manifest-source.ts'
import { digestA, failed, found } from '../../support/questions.ts'

const question = { host: 'a.example', repository: 'x', reference: '1' }

/** A source whose answers are handed out by the test, one for each request that reaches it. */
function sourceOf(identity: () => string = () => 'anonymous') {
  const requests: { answer(value: ManifestAnswer): void; readonly signal: AbortSignal }[] = []
  const source: ManifestSource = {
    isListed: () => true,
    isProbed: () => true,
    prepare: () =>
      Promise.resolve({
        credentialIdentity: identity(),
        send: (signal) => new Promise((resolve) => requests.push({ answer: resolve, signal })),
      }),
  }
  return { source, requests }
}

/** `prepare` is asynchronous: requests arrive a turn of the event loop later. */
const arrival = () => new Promise((resolve) => setImmediate(resolve))

async function ask(
  times: number,
  asker: ReturnType<typeof createManifestCache>,
  signal = new AbortController().signal,
) {
  const answers = Array.from({ length: times }, () => asker(question, signal))
  await arrival()
  return Promise.all(answers)
}

describe('one question, one request (R-16)', () => {
  it('a hundred askers at once share it', async () => {
    const { source, requests } = sourceOf()
    const answers = ask(100, createManifestCache(source, { now: () => 0 }))
    await arrival()
    expect(requests).toHaveLength(1)
    requests[0]?.answer(found())

    expect(new Set(await answers).size).toBe(1)
    expect((await answers)[0]).toMatchObject(found())
  })

  it('an asker who gives up leaves the others their answer', async () => {
    const { source, requests } = sourceOf()
    const asker = createManifestCache(source, { now: () => 0 })
    const impatient = new AbortController()
    const [one, two] = [
      asker(question, impatient.signal),
      asker(question, new AbortController().signal),
    ]
    await arrival()
    impatient.abort()
    expect(requests[0]?.signal.aborted).toBe(false)
    requests[0]?.answer(found())

    expect([(await one).outcome, (await two).outcome]).toEqual(['timeout', 'found'])
  })

  it('stops when nobody waits any more', async () => {
    const { source, requests } = sourceOf()
    const gone = new AbortController()
    const answer = createManifestCache(source, { now: () => 0 })(question, gone.signal)
    await arrival()
    gone.abort()

    expect([(await answer).outcome, requests[0]?.signal.aborted]).toEqual(['timeout', true])
  })
})

describe('what is kept (R-17, R-18)', () => {
  it.each([
    ['a tag that was found, for half a minute', found(), 29_000, 31_000],
    ['an absence, for five seconds', failed('absent'), 4_900, 5_100],
    ['a refusal, for five seconds', failed('denied'), 4_900, 5_100],
  ])('%s', async (_, answer, still, over) => {
    // The clock starts at one: lru-cache takes zero for "never set".
    let now = 1
    const { source, requests } = sourceOf()
    const asker = createManifestCache(source, { now: () => now })
    const first = ask(1, asker)
    await arrival()
    requests[0]?.answer(answer)
    await first
    now = 1 + still
    await ask(1, asker)
    expect(requests).toHaveLength(1)
    now = 1 + over
    void ask(1, asker)
    await arrival()

    expect(requests).toHaveLength(2)
  })

  it.each(['limited', 'unreachable', 'timeout', 'invalid'] as const)(
    '%s is not',
    async (outcome) => {
      const { source, requests } = sourceOf()
      const asker = createManifestCache(source, { now: () => 1 })
      const first = ask(1, asker)
      await arrival()
      requests[0]?.answer(failed(outcome))
      await first
      void ask(1, asker)
      await arrival()

      expect(requests).toHaveLength(2)
    },
  )

  it('no answer crosses from one credential to another', async () => {
    let identity = 'team-a'
    const { source, requests } = sourceOf(() => identity)
    const asker = createManifestCache(source, { now: () => 1 })
    const first = ask(1, asker)
    await arrival()
    requests[0]?.answer(found(digestA))
    await first
    identity = 'team-b'
    const second = ask(1, asker)
    await arrival()
    expect(requests).toHaveLength(2)
    requests[1]?.answer(failed('denied'))

    expect((await second)[0]?.outcome).toBe('denied')
  })
})

describe('a registry that is away (R-19)', () => {
  const setting = async (last: ManifestAnswer) => {
    const clock = { now: 1 }
    const { source, requests } = sourceOf()
    const asker = createManifestCache(source, { now: () => clock.now })
    const tell = async (answer: ManifestAnswer) => {
      const asked = ask(1, asker)
      await arrival()
      requests.at(-1)?.answer(answer)
      return (await asked)[0]
    }
    await tell(found(digestA))
    clock.now += 31_000
    await tell(last)
    return { clock, tell }
  }

  it.each(['unreachable', 'timeout', 'limited', 'skipped'] as const)(
    '%s: what it served last is told beside the failure',
    async (outcome) => {
      const { tell } = await setting(failed('unreachable'))

      expect(await tell(failed(outcome))).toEqual({ ...failed(outcome), staleDigest: digestA })
    },
  )

  it.each(['absent', 'denied'] as const)('after a definite no (%s) it is not', async (outcome) => {
    const { clock, tell } = await setting(failed(outcome))
    clock.now += 6_000

    expect(await tell(failed('unreachable'))).toEqual(failed('unreachable'))
  })

  it('after ten minutes it is not', async () => {
    const { clock, tell } = await setting(failed('unreachable'))
    clock.now += 600_000

    expect(await tell(failed('unreachable'))).toEqual(failed('unreachable'))
  })
})

describe('a silent registry', () => {
  it('has its question ended, so that others have time', async () => {
    const { source, requests } = sourceOf()
    const asker = createManifestCache(source, { now: () => 1, queryTimeoutMs: 1 })
    const answer = ask(1, asker)
    await arrival()
    const signal = requests[0]?.signal
    await new Promise((resolve) => signal?.addEventListener('abort', resolve))
    requests[0]?.answer(failed('timeout'))

    expect((await answer)[0]?.outcome).toBe('timeout')
    expect(signal?.reason).toBeInstanceOf(Error)
  })

  it('leaves nobody waiting for a request that was stopped', async () => {
    const { source, requests } = sourceOf()
    const asker = createManifestCache(source, { now: () => 1 })
    const gone = new AbortController()
    const first = asker(question, gone.signal)
    await arrival()
    gone.abort()
    await first
    const second = ask(1, asker)
    await arrival()
    requests[1]?.answer(found())

    expect((await second)[0]?.outcome).toBe('found')
  })
})

describe('a credential that has to be fetched', () => {
  it('is waited for no longer than the caller has time', async () => {
    const source: ManifestSource = {
      isListed: () => true,
      isProbed: () => true,
      prepare: () => new Promise(() => undefined),
    }
    const stop = new AbortController()
    const asker = createManifestCache(source, { now: () => 1 })
    const answers = [asker(question, stop.signal), asker(question, AbortSignal.abort())]
    stop.abort()

    expect(await Promise.all(answers)).toEqual([
      { outcome: 'timeout', detail: 'no credentials in time' },
      { outcome: 'timeout', detail: 'no credentials in time' },
    ])
  })
})

describe('memory', () => {
  it('is bounded by the number of answers and by their bytes', async () => {
    let requests = 0
    const source: ManifestSource = {
      isListed: () => true,
      isProbed: () => true,
      prepare: () =>
        Promise.resolve({
          credentialIdentity: 'anonymous',
          send: () => {
            requests++
            return Promise.resolve(found())
          },
        }),
    }
    const fits = createManifestCache(source, { now: () => 1, maxEntries: 2 })
    const small = createManifestCache(source, { now: () => 1, maxBytes: 1_000 })
    const { signal } = new AbortController()
    for (const asker of [fits, small]) {
      for (const repository of ['a', 'b', 'c', 'a'])
        await asker({ ...question, repository }, signal)
    }

    expect(requests).toBe(8)
  })
})
