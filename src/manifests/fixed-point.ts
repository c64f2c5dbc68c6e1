/** Repeats a decision until the image no longer changes, so that the webhook does not rewrite a rewritten manifest again. */
import type { Decision, ImageDecision } from '../decision/resolve/decide-by-row.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'

/** A mirrored image needs one round, and an alternate that is itself mirrored two. More rounds mean a cycle. */
const maxRounds = 4

/**
 * Wraps a decision for images that are stored in a manifest. A pod keeps the original image in an annotation; a manifest
 * does not, so its image has to be one that a later decision keeps.
 */
export function decideToFixedPoint(decide: Decide): Decide {
  return async (image, request) => {
    let decision: Decision = await decide(image, request)
    for (let round = 1; round < maxRounds && decision.ok && decision.image !== image; round++) {
      const next = await decide(decision.image, request)
      if (!next.ok || next.image === decision.image) break
      decision = {
        ...next,
        resolution: { ...next.resolution, undecidedRows: undecidedIn(decision, next) },
        why: `${decision.why}; then ${next.why}`,
      }
    }
    return decision
  }
}

function undecidedIn(...decisions: readonly ImageDecision[]): string[] {
  return [...new Set(decisions.flatMap(({ resolution }) => resolution.undecidedRows))]
}
