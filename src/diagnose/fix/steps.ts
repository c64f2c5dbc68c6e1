/** What `berth diagnose --fix` may do, and the pods that it leaves to a person. */
import type { PullSecret } from '../../credentials/keyring.ts'

export interface SecretName {
  readonly namespace: string
  readonly name: string
}

/** A pull secret that may be copied: its owner consents by a label, or the caller has named it. */
export interface Source extends SecretName {
  readonly secret: PullSecret
  /** When its credentials end, RFC 3339; null when it does not say. */
  readonly expiresAt: string | null
}

interface StepOf<Kind extends string> {
  readonly do: Kind
  readonly namespace: string
}

export type FixStep =
  | (StepOf<'copy'> & { readonly secret: string; readonly from: Source })
  | (StepOf<'link'> & { readonly secret: string; readonly account: string })
  | (StepOf<'recreate'> & {
      readonly pod: string
      readonly uid: string
      /** `ReplicaSet/web-6d4`. */
      readonly owner: string
    })

/** A step is done only when all that it needs was. */
export interface PlannedStep {
  readonly step: FixStep
  readonly needs: readonly FixStep[]
}

export interface LeftPod {
  readonly namespace: string
  readonly pod: string
  readonly why: string
}

export interface FixPlan {
  /** Copies first, then links, then pods; each once. */
  readonly steps: readonly PlannedStep[]
  readonly left: readonly LeftPod[]
}

/** `unneeded`: it had come true by itself. `skipped`: something that it needs was not done. */
export interface StepReport {
  readonly step: FixStep
  readonly outcome: 'planned' | 'done' | 'unneeded' | 'failed' | 'skipped'
  readonly problem: string | null
}

/** What `-o json` prints under `fix` (docs/cli.md); no content of a secret is in it. */
export function shownReport({ step, outcome, problem }: StepReport): object {
  if (step.do !== 'copy') return { ...step, outcome, problem }
  const { from, ...rest } = step
  const { namespace, name, expiresAt } = from
  return { ...rest, from: { namespace, name, expiresAt }, outcome, problem }
}

/** A step in words: `copy secret a/pull to b`. */
export function stepText(step: FixStep): string {
  const { namespace } = step
  if (step.do === 'copy') {
    const { from, secret } = step
    const name = from.name === secret ? '' : ` as ${secret}`
    const ends = from.expiresAt === null ? '' : `; it ends at ${from.expiresAt}, and is not kept`
    return `copy secret ${from.namespace}/${from.name} to ${namespace}${name}${ends}`
  }
  if (step.do === 'link')
    return `link secret ${step.secret} to service account ${namespace}/${step.account}`
  return `recreate pod ${namespace}/${step.pod} of ${step.owner}`
}
