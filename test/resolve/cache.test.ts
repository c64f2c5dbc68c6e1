import { describe, expect, it } from 'vitest'
import { createCache } from '../../src/resolve/cache.ts'
import type { Answer, ManifestSource } from '../../src/resolve/ports.ts'
import { digestA, failed, found } from '../support/questions.ts'

const question = { host: 'a.example', repository: 'x', reference: '1' }

/** A source whose answers are handed out by the test, one for each request that reaches it. */
function sourceOf(identity: () => string = () => 'anonymous') {
  const requests: { answer(value: Answer): void; readonly signal: AbortSignal }[] = []
  const source: ManifestSource = {
    knows: () => true,
    probes: () => true,
    prepare: () =>
      Promise.resolve({
        credentialIdentity: identity(),
        ask: (signal) => new Promise((resolve) => requests.push({ answer: resolve, signal })),
      }),
  }
  return { source, requests }
}

/** `prepare` is asynchronous: requests arrive a turn of the event loop later. */
const arrival = () => new Promise((resolve) => setImmediate(resolve))

async function ask(
  times: number,
  asker: ReturnType<typeof createCache>,
  signal = new AbortController().signal,
) {
  const answers = Array.from({ length: times }, () => asker(question, signal))
  await arrival()
  return Promise.all(answers)
}

describe('one question, one request (R-16)', () => {
  it('a hundred askers at once share it', async () => {
    const { source, requests } = sourceOf()
    const answers = ask(100, createCache(source, { now: () => 0 }))
    await arrival()
    expect(requests).toHaveLength(1)
    requests[0]?.answer(found())

    expect(new Set(await answers)).toEqual(new Set([found()]))
  })

  it('an asker who gives up leaves the others their answer', async () => {
    const { source, requests } = sourceOf()
    const asker = createCache(source, { now: () => 0 })
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
    const answer = createCache(source, { now: () => 0 })(question, gone.signal)
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
    const asker = createCache(source, { now: () => now })
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
      const asker = createCache(source, { now: () => 1 })
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
    const asker = createCache(source, { now: () => 1 })
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
