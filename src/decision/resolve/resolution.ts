/** The resolution of an image: what it becomes and why. Annotation, warnings, log, metrics and `explain` are made from it. */
import type { CandidateKind } from '../fallback/table.ts'
import type { Reference } from '../reference/reference.ts'
import type { ResolutionStep } from './step.ts'

/** Why an image becomes what it becomes. A closed list, because it is a metric label. */
export type ResolutionReason =
  /** No row matches. */
  | 'no-row'
  /** The row leaves its images unchanged (`leave: true`). */
  | 'left'
  /** The pod belongs to an operator that compares images (`known-conflicts.yaml`). */
  | 'known-conflict'
  /** The owner of the pod recreates its pods because Berth changes their images (`conflicts: leave`). */
  | 'detected-conflict'
  /** The pod has `imagePullPolicy: Never`: the node has the image under this name, and nothing pulls it. */
  | 'never-pulled'
  /** An updated pod names the image from which the running one was made: the running one stays. */
  | 'kept'
  /** The candidate was probed and found. */
  | 'found'
  /** The candidate is the original image. */
  | 'original'
  /** The candidate's registry is not probed (`probe: false`), or no registry is (`--no-probe`). */
  | 'trusted'
  /** No candidate was found, and this one was found within the last ten minutes. */
  | 'last-seen'
  /** No candidate was found, and the row says `otherwise: first`. */
  | 'first-unproved'
  /** No candidate was found; the image stays as it is. */
  | 'none-found'
  /** No candidate was found, and the row says `otherwise: deny`. */
  | 'row-denies'
  /** The image needs a pin, no digest is known, and the config says `unresolved: deny`. */
  | 'pin-denies'

export interface Resolution {
  readonly original: Reference
  /** The name of the first row, or of the one that denies the image; null if no row matches. */
  readonly row: string | null
  /** Earlier rows that match if what is not known of the pod meets their condition. Empty in the webhook. */
  readonly undecidedRows: readonly string[]
  readonly steps: readonly ResolutionStep[]
  readonly chosen: Reference
  readonly kind: CandidateKind
  /** False if the image can stay exactly as it is written. */
  readonly changed: boolean
  readonly pinned: boolean
  /** True if the image needs a digest that the lock file does not have: other pods of its revision may run another one. */
  readonly mayFollowRevision: boolean
  /** Why the image has no pin although it needs one; null otherwise. */
  readonly unpinned: string | null
  readonly reason: ResolutionReason
  /** When the first of the outcomes expires, in milliseconds of the monotonic clock. */
  readonly freshUntil: number
  /** Left out if one row decides. Else what the rows before chose, what the last row makes of it, and whether that is taken. */
  readonly followed?: {
    readonly before: Resolution
    readonly last: Resolution
    readonly isTaken: boolean
  }
}

const leftReasons: ReadonlySet<ResolutionReason> = new Set([
  'left',
  'known-conflict',
  'detected-conflict',
  'never-pulled',
])

/** Returns true if the image, its pull policy and its pull secrets stay exactly as they are. */
export function isLeft({ reason }: Pick<Resolution, 'reason'>): boolean {
  return leftReasons.has(reason)
}

/** Returns true if a rule of the config denies the pod. */
export function isDenied({ reason }: Pick<Resolution, 'reason'>): boolean {
  return reason === 'row-denies' || reason === 'pin-denies'
}
