/** What is known of an image that belongs on a mirror. A closed list, because it is a metric label. */
import type { DriftResult } from './drift.ts'

export const mirrorStates = [
  /** The mirror has what upstream has. */
  'mirrored',
  /** The mirror has the image, and upstream has another one under the tag, or none. */
  'drifted',
  /** Upstream has the image, and the mirror does not: it is to be copied. Also an image that was not checked yet. */
  'waiting',
  /** Another image has the same name on the mirror. The mirror can have only one of them. */
  'conflict',
  // The outcomes of a check or copy that failed. With `absent`, upstream does not have the image either.
  'absent',
  'denied',
  'limited',
  'unreachable',
  'invalid',
  'timeout',
  'skipped',
  /** `mirror.verify` does not allow the copy. */
  'refused',
] as const

export type MirrorState = (typeof mirrorStates)[number]

/** Returns the state of an image after a check. */
export function stateAfterCheck({
  state,
  outcome,
  sourceDigest,
  mirrorDigest,
}: Pick<DriftResult, 'state' | 'outcome' | 'sourceDigest' | 'mirrorDigest'>): MirrorState {
  // The mirror has the image, whatever is wrong with upstream.
  if (mirrorDigest !== null)
    return state === 'same' || state === 'unreachable' ? 'mirrored' : 'drifted'
  if (outcome !== null) return outcome
  return sourceDigest === null ? 'absent' : 'waiting'
}

export function isOnMirror(state: MirrorState): boolean {
  return state === 'mirrored' || state === 'drifted'
}
