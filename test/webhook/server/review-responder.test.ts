import { describe, expect, it } from 'vitest'
import { createLane } from '../../../src/async/lane.ts'
import { createConcurrencyLimit } from '../../../src/webhook/server/concurrency-limit.ts'
import { createReviewResponder } from '../../../src/webhook/server/review-responder.ts'
import { denyUnread, UnreadReviewError } from '../../../src/webhook/server/unread-review.ts'
import { podOf, reviewOf } from '../../support/reviews.ts'

describe('the answer to a small review', () => {
  it('is a refusal with what a denial needs while the reviews that wait take all memory', () => {
    const limit = createConcurrencyLimit(() => 0)
    limit.begin('caller')?.charge(80 * 1024 * 1024)
    const slot = limit.begin('caller')
    if (slot === null) throw new Error('no place')
    const respond = createReviewResponder({
      admit: () => new Promise(() => undefined),
      lane: createLane(),
      metrics: { admitted: () => undefined },
      log: () => undefined,
    })
    const answer = () =>
      respond(Buffer.from(JSON.stringify(reviewOf(podOf(['nginx:1'])))), slot, {
        signal: () => new AbortController().signal,
        observeOnly: false,
      })

    let error: unknown
    try {
      void answer()
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(UnreadReviewError)
    expect(denyUnread(error as UnreadReviewError)).toMatch(/"allowed":false.*try again/)
  })
})
