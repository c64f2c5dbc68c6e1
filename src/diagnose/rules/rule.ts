/**
 * One row of the decision table. A rule's number never changes its meaning; new rules take new numbers.
 */
export interface Rule {
  readonly rule: `D${number}`
  readonly cause: string
  /** What a message alone can say. Only a probe or the state of an object makes a verdict `proved`. */
  readonly certainty: 'likely' | 'ambiguous' | 'unknown'
  /** Which error of several decides. */
  readonly rank: Rank
  /** Any of them in the message, without regard to case and with tokens for names (tokens.ts). None: seen in objects, not in messages. */
  readonly patterns: readonly RegExp[]
  readonly means: string
  readonly fix: string
}

/**
 * When a pull met several errors, the verdict is the one that a person can act on, not the first: `definite` says what
 * is wrong with the image, the name or the node; who got as far as that has passed the doors before it.
 * An anonymous attempt that was refused is what follows when credentials failed, so it comes behind all that says more.
 */
export const ranks = [
  'definite',
  'limited',
  'refused',
  'transport',
  'ambiguous',
  'unreachable',
  'anonymous',
  'vague',
  'unknown',
] as const

export type Rank = (typeof ranks)[number]
