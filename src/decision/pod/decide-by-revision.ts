/** Decides the images of a pod so that all pods of its revision run the same digest, although a tag has moved. */
import { mapMaybe, type MaybePromise } from '../../async/maybe-promise.ts'
import type { LazySignal } from '../resolve/budget.ts'
import type { Decision } from '../resolve/decide-by-row.ts'
import type { Decide } from '../resolve/decision-cache.ts'
import type { Revision, SiblingDigest } from './revision.ts'

/** What is known of the digests of one image in the other pods of a revision. */
export interface SiblingAnswer {
  /**
   * `memory` or `list`: other pods have a digest, according to a recent or a new list. `none`: no pod has one. `forbidden`: the
   * webhook may not list pods. `failed`: the API server did not answer in time.
   */
  readonly source: 'memory' | 'list' | 'none' | 'forbidden' | 'failed'
  /** In the order in which to try them. */
  readonly digests: readonly SiblingDigest[]
}

/** Finds the digests of the other pods of a revision. */
export interface SiblingDigests {
  /** Synchronous if the answer is remembered. Never rejects. */
  find(revision: Revision, image: string, signal: LazySignal): MaybePromise<SiblingAnswer>
  /** Remembers the digest of a pod that the API server has not stored yet, for the next pods of its revision. */
  expect(revision: Revision, image: string, digest: string): void
}

/** How the digest was found; `gone`: no candidate serves a digest that the other pods run. */
export type RevisionLookupResult = SiblingAnswer['source'] | 'gone'

export interface RevisionOptions {
  readonly siblings: SiblingDigests
  /** Null for a pod without a revision. Called only if an image needs a digest. */
  readonly revisionOf: () => Revision | null
  /** True if the pod will not be stored. */
  readonly isDryRun: boolean
  readonly onLookup: (result: RevisionLookupResult) => void
}

/**
 * Returns a decide function that prefers the digest of the pod's revision. That digest is a claim of other pods: the image is
 * decided again with it, and it counts only if a candidate serves it (docs/adr/0013). Images without a pin cost nothing.
 */
export function decideByRevision(decide: Decide, options: RevisionOptions): Decide {
  const { siblings, revisionOf, isDryRun, onLookup } = options
  return (image, request) =>
    mapMaybe(decide(image, request), (today) => {
      const revision = today.ok && today.resolution.mayFollowRevision ? revisionOf() : null
      if (revision === null) return today
      return mapMaybe(siblings.find(revision, image, request.signal), ({ source, digests }) => {
        const again = (claimedDigest: string) => decide(image, { ...request, claimedDigest })
        return mapMaybe(firstServed(today, digests, again), ({ decision, sibling }) => {
          const isGone = sibling === null && digests.length > 0
          onLookup(isGone ? 'gone' : source)
          const digest = digestOf(decision)
          const isFirst = source === 'none' || source === 'failed'
          if (isFirst && digest !== null && !isDryRun) siblings.expect(revision, image, digest)
          if (isGone) return withNote(decision, goneNote(digests))
          if (sibling === null) return withNote(decision, unknownNotes[source] ?? null)
          const isToday = decision === today && digests.length === 1
          return isToday ? today : withNote(decision, siblingNote(digests, sibling))
        })
      })
    })
}

interface Choice {
  readonly decision: Decision
  /** Where the digest of the decision comes from; null if no candidate serves the digest of a sibling. */
  readonly sibling: SiblingDigest | null
}

/** Returns the decision with the first of the digests that a candidate serves; the decision by tag if there is none. */
function firstServed(
  today: Decision,
  digests: readonly SiblingDigest[],
  decideWith: (digest: string) => MaybePromise<Decision>,
): MaybePromise<Choice> {
  const [sibling, ...others] = digests
  if (sibling === undefined) return { decision: today, sibling: null }
  if (digestOf(today) === sibling.digest) return { decision: today, sibling }
  return mapMaybe(decideWith(sibling.digest), (decision) =>
    digestOf(decision) === sibling.digest
      ? { decision, sibling }
      : firstServed(today, others, decideWith),
  )
}

function digestOf(decision: Decision): string | null {
  return decision.ok && decision.resolution.pinned ? decision.resolution.chosen.digest : null
}

const unknownNotes: Readonly<Partial<Record<SiblingAnswer['source'], string>>> = {
  forbidden: 'other pods of its revision not known: the webhook may not list pods',
  failed: 'other pods of its revision not known: the API server did not answer in time',
}

function siblingNote(digests: readonly SiblingDigest[], { digest, pod }: SiblingDigest): string {
  if (pod === null) return 'the digest of a pod of its revision that was just admitted'
  if (digests.length === 1) return `the digest of its revision, as in pod ${pod}`
  const age = digests[0]?.digest === digest ? 'the oldest, ' : ''
  return `the pods of its revision run ${digests.length} digests; this one is of ${age}pod ${pod}`
}

function goneNote(digests: readonly SiblingDigest[]): string {
  const names = digests.map(({ digest }) => digest.slice(0, 'sha256:'.length + 12))
  return `the pods of its revision run ${names.join(' and ')}, which no candidate serves now`
}

function withNote(decision: Decision, note: string | null): Decision {
  if (!decision.ok || note === null) return decision
  return Object.freeze({ ...decision, why: `${decision.why}; ${note}` })
}
