/** Deciding again what was decided, until it stays: what is written down today must not be moved on by the webhook tomorrow. */
import type { Decide, Decision } from '../decision/resolve/decision-cache.ts'

/** An alternate may itself be mirrored, and that is two moves; what moves more often goes round in a circle. */
const maxRounds = 4

/**
 * The same function for names that are kept. The webhook remembers in an annotation what it was asked; a manifest has
 * none, so what comes out of here is a name that every later look leaves as it is.
 */
export function untilFixedPoint(decide: Decide): Decide {
  return async (image, request) => {
    let decision: Decision = await decide(image, request)
    for (let round = 1; round < maxRounds && decision.ok && decision.image !== image; round++) {
      const next = await decide(decision.image, request)
      if (!next.ok || next.image === decision.image) break
      decision = { ...next, why: `${decision.why}; then ${next.why}` }
    }
    return decision
  }
}
