/** Describes a resolution in one sentence, for the annotation, the warnings and the command line. */
import type { Reference } from '../reference/reference.ts'
import type { Resolution } from './resolution.ts'
import { findTakenStep } from './resolve-policy.ts'
import type { ResolutionStep } from './step.ts'

/**
 * Returns a sentence such as `anubis:32000 absent (404 MANIFEST_UNKNOWN); the original on docker.io`.
 * It holds no text that a registry can choose freely.
 */
export function describeResolution(resolution: Resolution): string {
  const failed = failedSteps(resolution).map(stepText)
  const pin = resolution.unpinned === null ? [] : [`not pinned: ${resolution.unpinned}`]
  return [...(failed.length === 0 ? [] : [failed.join(', ')]), resultText(resolution), ...pin].join(
    '; ',
  )
}

/** Returns the steps before the candidate that was taken; all steps if none was. */
export function failedSteps({ steps }: Resolution): readonly ResolutionStep[] {
  const taken = findTakenStep(steps)
  return taken === undefined ? steps : steps.slice(0, steps.indexOf(taken))
}

function stepText({ candidate, outcome, detail }: ResolutionStep): string {
  const host = candidate.reference?.domain ?? candidate.image
  return detail === null ? `${host} ${outcome}` : `${host} ${outcome} (${detail})`
}

/** Why an image such as `foo_bar.com/x` matches no row, except one that denies every image. */
export const noHost = 'the part before the first / is not a valid host'

function resultText({ original, reason, chosen, kind, pinned }: Resolution): string {
  switch (reason) {
    case 'no-row':
      return pinned ? 'no row matches; pinned' : 'no row matches; image unchanged'
    case 'left':
      return 'left unchanged by the row'
    case 'known-conflict':
      return 'left unchanged: the operator compares the images of its pods'
    case 'never-pulled':
      return 'left unchanged: imagePullPolicy is Never'
    case 'found':
      return `found on ${chosen.domain}${kind === 'alternate' ? ", another publisher's copy" : ''}`
    case 'original':
      return `the original on ${chosen.domain}${pinned ? ', pinned' : ''}`
    case 'trusted':
      return `taken from ${chosen.domain} without a probe`
    case 'last-seen':
      return `taken from ${chosen.domain}, which had it in the last 10 minutes`
    case 'first-unproved':
      return `not found; taken from ${chosen.domain} without proof (otherwise: first)`
    case 'none-found':
      return 'not found; image unchanged'
    case 'row-denies':
      return `${whyDenied(original)}; denied by the row (otherwise: deny)`
    case 'pin-denies':
      return 'denied: the image must be pinned (unresolved: deny)'
  }
}

function whyDenied({ domain }: Reference): string {
  return domain === '' ? noHost : 'not found'
}
