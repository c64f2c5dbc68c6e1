/** Finds images that a policy covers only before, or only after, Berth changes their names. Pure. */
import { examplePod } from '../decision/fallback/example-pod.ts'
import type { PodContext } from '../decision/fallback/pod-context.ts'
import type { Candidate, FallbackRow } from '../decision/fallback/table.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { needsPin, planCandidates, type ResolvePolicy } from '../decision/resolve/resolve-policy.ts'
import { exampleImages } from './example-images.ts'
import { covers, matchesAny, type PolicyRule } from './policy-rule.ts'
import type { WildcardBudget } from './wildcard.ts'

export interface PolicyChange {
  readonly rule: PolicyRule
  /** The name of the row; null for an image without a row. */
  readonly row: string | null
  /** As in the pod. */
  readonly image: string
  /** What the image may become. */
  readonly becomes: string
  /** `leaves`: the policy covers the image, and not what it becomes. `enters`: the other way around. */
  readonly change: 'leaves' | 'enters'
  /** What Berth changes that matters to the policy. */
  readonly cause: 'name' | 'digest'
  /** False for an image of a manifest or of a cluster. */
  readonly isExample: boolean
}

/** An image of a manifest or of a cluster. */
export interface GivenImage {
  readonly image: string
  readonly pod: PodContext
}

export interface PolicyChanges {
  readonly changes: readonly PolicyChange[]
  /** False if the search for images was cut short. */
  readonly isComplete: boolean
}

/** The steps of all searches, which take a few seconds. 1,000 rows and 100 globs need 300,000. */
const maxSteps = 2_000_000

/** The cost, in steps, of deciding an image, and of matching it against a glob. */
const stepsForDecision = 50
const stepsForGlob = 10

/** More changes than a person reads. */
const maxChanges = 1_000

/** Stands for the digest that Berth adds. */
const exampleDigest = `sha256:${'0'.repeat(64)}`

/** Returns the changes of the given images, and of example images for each row and rule. */
export function findPolicyChanges(
  policy: ResolvePolicy,
  rules: readonly PolicyRule[],
  images: readonly GivenImage[],
): PolicyChanges {
  const budget: WildcardBudget = { steps: maxSteps }
  const changes = new Map<string, PolicyChange>()
  const add = (change: PolicyChange) => {
    const key = keyOf(change)
    if (!changes.has(key)) changes.set(key, change)
  }
  for (const rule of rules) {
    const cost = costOf(rule)
    for (const given of images) {
      budget.steps -= cost
      if (budget.steps <= 0) break
      for (const change of changesOf(policy, rule, given)) add({ ...change, isExample: false })
    }
    for (const row of policy.table.rows) {
      if (budget.steps <= 0) break
      for (const change of exampleChanges(policy, rule, row, budget)) add(change)
    }
    if (budget.steps <= 0 || changes.size > maxChanges) break
  }
  const isComplete = budget.steps > 0 && changes.size <= maxChanges
  return { changes: [...changes.values()].slice(0, maxChanges), isComplete }
}

/** One example for each glob, row and registry is enough. */
function keyOf({ rule, row, image, becomes, change, cause, isExample }: PolicyChange): string {
  const place = `${rule.policy.source} ${rule.policy.line} ${rule.place} ${row} ${change} ${cause}`
  if (!isExample) return `${place} ${image} ${becomes}`
  const name = rule.engine.nameOf(change === 'leaves' ? image : becomes)
  const glob = [...rule.globs, ...rule.skipped].find((each) => matchesAny([each], name))
  const registry = becomes.slice(0, becomes.indexOf('/'))
  return `${place} ${glob?.text ?? ''} ${registry}`
}

/** Returns the steps for one image. */
function costOf({ globs, skipped }: PolicyRule): number {
  return stepsForDecision + stepsForGlob * (globs.length + skipped.length)
}

function exampleChanges(
  policy: ResolvePolicy,
  rule: PolicyRule,
  row: FallbackRow,
  budget: WildcardBudget,
): PolicyChange[] {
  if (row.leave) return []
  const pod = examplePod(row.when)
  const images = exampleImages(row, rule, budget)
  budget.steps -= images.length * costOf(rule)
  return images.flatMap((image) =>
    changesOf(policy, rule, { image, pod }).filter((change) => change.row === row.name),
  )
}

/** Returns the changes of one image: one for each of its candidates at most. */
function changesOf(
  policy: ResolvePolicy,
  rule: PolicyRule,
  { image, pod }: GivenImage,
): PolicyChange[] {
  const parsed = parseReference(image)
  if (!parsed.ok || parsed.reference.domain === '') return []
  const { reference } = parsed
  const plan = planCandidates(policy, { reference, pod })
  const isCovered = covers(rule, image)
  return plan.candidates.flatMap((candidate): PolicyChange[] => {
    const isPinned =
      candidate.reference !== null &&
      needsPin(plan.pin, reference, { reference: candidate.reference, kind: candidate.kind })
    const changed = namesOf(candidate, isPinned).find(
      ({ name }) => covers(rule, name) !== isCovered,
    )
    if (changed === undefined) return []
    return [
      {
        rule,
        row: plan.row?.name ?? null,
        image,
        becomes: changed.name,
        change: isCovered ? 'leaves' : 'enters',
        cause: changed.cause,
        isExample: true,
      },
    ]
  })
}

/** Returns the names that the pod may get: also the one without a digest, because a registry may not return the digest. */
function namesOf(
  { image, reference, kind }: Candidate,
  isPinned: boolean,
): { readonly name: string; readonly cause: PolicyChange['cause'] }[] {
  if (reference === null) return []
  const name = { name: image, cause: 'name' as const }
  const withDigest =
    isPinned && reference.digest === null
      ? [{ name: `${image}@${exampleDigest}`, cause: 'digest' as const }]
      : []
  return kind === 'original' ? withDigest : [name, ...withDigest]
}
