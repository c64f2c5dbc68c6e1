/** What a resolution says to a person, in one sentence: the same in the annotation, the warning and `berth dev`. */
import type { Resolution } from './resolution.ts'
import { type ResolutionStep, findTakenStep } from './step.ts'

/** For example `anubis:32000 absent (404 MANIFEST_UNKNOWN); taken from docker.io`. Holds no text that a registry made up. */
export function describeResolution(resolution: Resolution): string {
  const failed = failedSteps(resolution).map(stepText).join(', ')
  const unpinned = resolution.unpinned === null ? '' : `; not pinned: ${resolution.unpinned}`
  return `${outcomeText(resolution, failed)}${unpinned}`
}

/** The candidates that were asked before the one that was taken. */
export function failedSteps({ steps }: Resolution): readonly ResolutionStep[] {
  const taken = findTakenStep(steps)
  return taken === undefined ? steps : steps.slice(0, steps.indexOf(taken))
}

function stepText({ candidate, outcome, detail }: ResolutionStep): string {
  const host = candidate.reference?.domain ?? candidate.image
  return detail === null ? `${host} ${outcome}` : `${host} ${outcome} (${detail})`
}

function outcomeText({ reason, chosen, kind, pinned }: Resolution, failed: string): string {
  const before = failed === '' ? '' : `${failed}; `
  switch (reason) {
    case 'no-row':
      return pinned ? 'no row matches; pinned where it is' : 'no row matches; left as it is'
    case 'found':
      return `${before}found on ${chosen.domain}${kind === 'alternate' ? ", another publisher's copy" : ''}`
    case 'original':
      return `${before}the original on ${chosen.domain}${pinned ? ', pinned' : ''}`
    case 'trusted':
      return `${before}taken from ${chosen.domain} unasked`
    case 'last-seen':
      return `${before}taken from ${chosen.domain} as it was last seen`
    case 'first-unproved':
      return `${before}nothing found; ${chosen.domain} taken unproved`
    case 'none-found':
      return `${before}nothing found; left as it is`
    case 'row-denies':
      return `${before}nothing found; refused, as the row says`
    case 'pin-denies':
      return `${before}refused, as an image must be pinned`
  }
}
