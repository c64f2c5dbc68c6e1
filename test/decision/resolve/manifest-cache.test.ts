import { describe, expect, it } from 'vitest'
import { aborted } from '../../../src/async/abort.ts'
import { createManifestCache } from '../../../src/decision/resolve/manifest-cache.ts'
import type {
  ManifestAnswer,
  ManifestSource,
} from '../../../src/decision/resolve/manifest-source.ts'
import { digestA, failed, found } from '../../support/manifest-answers.ts'

const query = { host: 'a.example', repository: 'x', reference: '1', namespace: 'default' }

/** A source whose requests the test answers one by one. */
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

/** `prepare` is asynchronous, so requests arrive one turn of the event loop later. */
const arrival = () => new Promise((resolve) => setImmediate(resolve))

async function queryTimes(
  times: number,
  cache: ReturnType<typeof createManifestCache>,
  signal = new AbortController().signal,
) {
  const answers = Array.from({ length: times }, () => cache(query, signal))
  await arrival()
  return Promise.all(answers)
}

describe('concurrent queries', () => {
  it('share one request', async () => {
    const { source, requests } = sourceOf()
    const answers = queryTimes(100, createManifestCache(source, { now: () => 0 }))
    await arrival()
    expect(requests).toHaveLength(1)
    requests[0]?.answer(found())

    expect(new Set(await answers).size).toBe(1)
    expect((await answers)[0]).toMatchObject(found())
  })

  it('get their answer when another caller gives up', async () => {
    const { source, requests } = sourceOf()
    const cache = createManifestCache(source, { now: () => 0 })
    const leaving = new AbortController()
    const [one, two] = [cache(query, leaving.signal), cache(query, new AbortController().signal)]
    await arrival()
    leaving.abort()
    expect(requests[0]?.signal.aborted).toBe(false)
    requests[0]?.answer(found())

    expect([(await one).outcome, (await two).outcome]).toEqual(['timeout', 'found'])
  })

  it('stop the request when the last caller gives up', async () => {
    const { source, requests } = sourceOf()
    const caller = new AbortController()
    const answer = createManifestCache(source, { now: () => 0 })(query, caller.signal)
    await arrival()
    caller.abort()

    expect([(await answer).outcome, requests[0]?.signal.aborted]).toEqual(['timeout', true])
  })
})

describe('cached answers', () => {
  it.each([
    ['30 seconds for a tag that was found', found(), 29_000, 31_000],
    ['5 seconds for an absent image', failed('absent'), 4_900, 5_100],
    ['5 seconds for a denied request', failed('denied'), 4_900, 5_100],
  ])('expire after %s', async (_, answer, before, after) => {
    // The clock starts at 1, because lru-cache reads 0 as "not set".
    let now = 1
    const { source, requests } = sourceOf()
    const cache = createManifestCache(source, { now: () => now })
    const first = queryTimes(1, cache)
    await arrival()
    requests[0]?.answer(answer)
    await first
    now = 1 + before
    await queryTimes(1, cache)
    expect(requests).toHaveLength(1)
    now = 1 + after
    void queryTimes(1, cache)
    await arrival()

    expect(requests).toHaveLength(2)
  })

  it.each(['limited', 'unreachable', 'timeout', 'invalid'] as const)(
    'do not include the outcome %s',
    async (outcome) => {
      const { source, requests } = sourceOf()
      const cache = createManifestCache(source, { now: () => 1 })
      const first = queryTimes(1, cache)
      await arrival()
      requests[0]?.answer(failed(outcome))
      await first
      void queryTimes(1, cache)
      await arrival()

      expect(requests).toHaveLength(2)
    },
  )

  it('are not shared between credentials', async () => {
    let identity = 'team-a'
    const { source, requests } = sourceOf(() => identity)
    const cache = createManifestCache(source, { now: () => 1 })
    const first = queryTimes(1, cache)
    await arrival()
    requests[0]?.answer(found(digestA))
    await first
    identity = 'team-b'
    const second = queryTimes(1, cache)
    await arrival()
    expect(requests).toHaveLength(2)
    requests[1]?.answer(failed('denied'))

    expect((await second)[0]?.outcome).toBe('denied')
  })
})

describe('the stale digest', () => {
  const afterFound = async (last: ManifestAnswer) => {
    const clock = { now: 1 }
    const { source, requests } = sourceOf()
    const cache = createManifestCache(source, { now: () => clock.now })
    const answerNext = async (answer: ManifestAnswer) => {
      const answers = queryTimes(1, cache)
      await arrival()
      requests.at(-1)?.answer(answer)
      return (await answers)[0]
    }
    await answerNext(found(digestA))
    clock.now += 31_000
    await answerNext(last)
    return { clock, answerNext }
  }

  it.each(['unreachable', 'timeout', 'limited', 'skipped'] as const)(
    'is part of the outcome %s',
    async (outcome) => {
      const { answerNext } = await afterFound(failed('unreachable'))

      expect(await answerNext(failed(outcome))).toEqual({
        ...failed(outcome),
        staleDigest: digestA,
      })
    },
  )

  it.each(['absent', 'denied'] as const)('is dropped after the outcome %s', async (outcome) => {
    const { clock, answerNext } = await afterFound(failed(outcome))
    clock.now += 6_000

    expect(await answerNext(failed('unreachable'))).toEqual(failed('unreachable'))
  })

  it('is dropped after 10 minutes', async () => {
    const { clock, answerNext } = await afterFound(failed('unreachable'))
    clock.now += 600_000

    expect(await answerNext(failed('unreachable'))).toEqual(failed('unreachable'))
  })
})

describe('a registry that does not answer', () => {
  it('has its query stopped after the query timeout', async () => {
    const { source, requests } = sourceOf()
    const cache = createManifestCache(source, { now: () => 1, queryTimeoutMs: 1 })
    const answer = queryTimes(1, cache)
    await arrival()
    const signal = requests[0]?.signal ?? AbortSignal.abort()
    await aborted(signal)
    requests[0]?.answer(failed('timeout'))

    expect((await answer)[0]?.outcome).toBe('timeout')
    expect(signal.reason).toBeInstanceOf(Error)
  })

  it('gets a new request from a caller that comes after the stop', async () => {
    const { source, requests } = sourceOf()
    const cache = createManifestCache(source, { now: () => 1 })
    const caller = new AbortController()
    const first = cache(query, caller.signal)
    await arrival()
    caller.abort()
    await first
    const second = queryTimes(1, cache)
    await arrival()
    requests[1]?.answer(found())

    expect((await second)[0]?.outcome).toBe('found')
  })
})

describe('a credential that takes long to fetch', () => {
  it('is awaited until the caller gives up', async () => {
    const source: ManifestSource = {
      isListed: () => true,
      isProbed: () => true,
      prepare: () => new Promise(() => undefined),
    }
    const stop = new AbortController()
    const cache = createManifestCache(source, { now: () => 1 })
    const answers = [cache(query, stop.signal), cache(query, AbortSignal.abort())]
    stop.abort()

    expect(await Promise.all(answers)).toEqual([
      { outcome: 'timeout', detail: 'no credentials in time' },
      { outcome: 'timeout', detail: 'no credentials in time' },
    ])
  })
})

describe('the size of the cache', () => {
  it('is limited by the number of answers and by their bytes', async () => {
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
    for (const cache of [fits, small]) {
      for (const repository of ['a', 'b', 'c', 'a']) await cache({ ...query, repository }, signal)
    }

    expect(requests).toBe(8)
  })
})

describe('a fresh answer', () => {
  it.each([
    ['by a refresh', { isRefresh: true }, true],
    ['while its registry is not live', {}, false],
  ])('is not used %s', async (_, changes, isLive) => {
    const { source, requests } = sourceOf()
    const cache = createManifestCache(source, { now: () => 1, isLive: () => isLive })
    const first = queryTimes(1, cache)
    await arrival()
    requests[0]?.answer(found(digestA))
    await first
    const second = cache({ ...query, ...changes }, new AbortController().signal)
    await arrival()
    requests[1]?.answer(failed('absent'))

    expect((await second).outcome).toBe('absent')
  })

  it('is only used as the last known one after a query has failed', async () => {
    const { source, requests } = sourceOf()
    const cache = createManifestCache(source, { now: () => 1 })
    const first = queryTimes(1, cache)
    await arrival()
    requests[0]?.answer(found(digestA))
    await first
    const second = cache({ ...query, isRefresh: true }, new AbortController().signal)
    await arrival()
    requests[1]?.answer(failed('unreachable'))
    await second
    const third = queryTimes(1, cache)
    await arrival()
    requests[2]?.answer(failed('unreachable'))

    expect(await third).toEqual([{ ...failed('unreachable'), staleDigest: digestA }])
  })
})
