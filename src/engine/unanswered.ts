/** Records which images could not be decided, because no registry that was asked for them answered. */
import type { Decision } from '../decision/resolve/decide-by-row.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'
import type { Resolution } from '../decision/resolve/resolution.ts'

export interface Unanswered {
  readonly decide: Decide
  /** The hosts of the registries, sorted. Empty if each image had an answer. */
  hosts(): readonly string[]
}

/** Returns the function that decides, and what it could not decide so far. */
export function createUnanswered(decide: Decide): Unanswered {
  const hosts = new Set<string>()
  const record = (decision: Decision) => {
    if (decision.ok) for (const host of unansweredHosts(decision.resolution)) hosts.add(host)
    return decision
  }
  return {
    decide: async (image, request) => record(await decide(image, request)),
    hosts: () => [...hosts].toSorted(),
  }
}

/** Returns the hosts that were asked for the image if none of them answered. */
function unansweredHosts({ steps }: Resolution): string[] {
  const asked = steps.filter(({ milliseconds }) => milliseconds !== null)
  const isAnswered = asked.some(({ outcome }) => outcome !== 'unreachable' && outcome !== 'timeout')
  return isAnswered ? [] : asked.flatMap(({ candidate }) => candidate.reference?.domain ?? [])
}
