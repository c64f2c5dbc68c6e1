/** Describes a resolution in one sentence, for the annotation, the warnings and the command line. */
import type { Reference } from '../reference/reference.ts'
import type { Resolution, ResolutionReason } from './resolution.ts'
import { findTakenStep } from './resolve-policy.ts'
import type { ResolutionStep } from './step.ts'

/**
 * Returns a sentence such as `anubis:32000 absent (404 MANIFEST_UNKNOWN); the original on docker.io`.
 * It holds no text that a registry can choose freely.
 */
export function describeResolution(resolution: Resolution): string {
  const { followed } = resolution
  if (followed !== undefined) {
    const { before, last, isTaken } = followed
    const next = isTaken
      ? describeResolution(last)
      : `${failedSteps(last).map(stepText).join(', ')}; the image on ${before.chosen.domain} stays`
    return `${describeResolution(before)}; then ${next}`
  }
  const failed = failedSteps(resolution).map(stepText)
  const pin = resolution.unpinned === null ? [] : [`not pinned: ${resolution.unpinned}`]
  return [
    ...(failed.length === 0 ? [] : [failed.join(', ')]),
    resultTexts[resolution.reason](resolution),
    ...pin,
  ].join('; ')
}

/** Returns the steps before the candidate that was taken; all steps if none was. */
export function failedSteps({ steps, followed }: Resolution): readonly ResolutionStep[] {
  if (followed !== undefined)
    return [...failedSteps(followed.before), ...failedSteps(followed.last)]
  const taken = findTakenStep(steps)
  return taken === undefined ? steps : steps.slice(0, steps.indexOf(taken))
}

function stepText({ candidate, outcome, detail }: ResolutionStep): string {
  const host = candidate.reference?.domain ?? candidate.image
  return detail === null ? `${host} ${outcome}` : `${host} ${outcome} (${detail})`
}

/** Why an image such as `foo_bar.com/x` matches no row, except one that denies every image. */
export const noHost = 'the part before the first / is not a valid host'

const resultTexts: Readonly<Record<ResolutionReason, (resolution: Resolution) => string>> = {
  'no-row': ({ pinned }) => (pinned ? 'no row matches; pinned' : 'no row matches; image unchanged'),
  left: () => 'left unchanged by the row',
  'known-conflict': () => 'left unchanged: the operator compares the images of its pods',
  'detected-conflict': () =>
    'left unchanged: its owner recreates pods whose images Berth changes (conflicts: leave)',
  'never-pulled': () => 'left unchanged: imagePullPolicy is Never',
  kept: ({ chosen }) => `the running image on ${chosen.domain} stays`,
  found: ({ chosen, kind }) =>
    `found on ${chosen.domain}${kind === 'alternate' ? ", another publisher's copy" : ''}`,
  original: ({ chosen, pinned }) => `the original on ${chosen.domain}${pinned ? ', pinned' : ''}`,
  trusted: ({ chosen }) => `taken from ${chosen.domain} without a probe`,
  'last-seen': ({ chosen }) => `taken from ${chosen.domain}, which had it in the last 10 minutes`,
  'first-unproved': ({ chosen }) =>
    `not found; taken from ${chosen.domain} without proof (otherwise: first)`,
  'none-found': () => 'not found; image unchanged',
  'row-denies': ({ original }) => `${whyDenied(original)}; denied by the row (otherwise: deny)`,
  'pin-denies': () => 'denied: the image must be pinned (unresolved: deny)',
}

function whyDenied({ domain }: Reference): string {
  return domain === '' ? noHost : 'not found'
}
