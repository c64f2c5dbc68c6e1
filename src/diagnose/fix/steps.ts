/** The steps of `berth diagnose --fix`: their types, their order and their text. */
import type { PullSecret } from '../../credentials/keyring.ts'

export interface SecretName {
  readonly namespace: string
  readonly name: string
}

/** A pull secret that may be copied: its label consents, or the caller named it. */
export interface CopySource extends SecretName {
  readonly secret: PullSecret
  /** When its credentials expire, RFC 3339; null when it does not say. */
  readonly expiresAt: string | null
}

export type StepKind = 'copy' | 'link' | 'recreate'

interface StepBase<Kind extends StepKind> {
  readonly do: Kind
  readonly namespace: string
}

export type FixStep =
  | (StepBase<'copy'> & { readonly secret: string; readonly from: CopySource })
  | (StepBase<'link'> & { readonly secret: string; readonly account: string })
  | (StepBase<'recreate'> & {
      readonly pod: string
      readonly uid: string
      /** `ReplicaSet/web-6d4`. */
      readonly owner: string
    })

/** The step of one kind. */
export type StepOf<Kind extends StepKind> = Extract<FixStep, { readonly do: Kind }>

/** A step runs only if every step that it needs succeeded. */
export interface PlannedStep {
  readonly step: FixStep
  readonly needs: readonly FixStep[]
}

/** A pod that `--fix` does not fix. */
export interface LeftPod {
  readonly namespace: string
  readonly pod: string
  readonly why: string
}

export interface FixPlan {
  /** Without duplicates: copies first, then links, then pods. */
  readonly steps: readonly PlannedStep[]
  readonly left: readonly LeftPod[]
}

/** `unneeded`: the goal was reached before the step ran. `skipped`: a step that it needs failed. */
export interface StepReport {
  readonly step: FixStep
  readonly outcome: 'planned' | 'done' | 'unneeded' | 'failed' | 'skipped'
  readonly problem: string | null
}

/** Returns what identifies a step: two steps with the same key write the same object. */
export function stepKey(step: FixStep): string {
  const { namespace } = step
  switch (step.do) {
    case 'copy':
      return `copy ${namespace}/${step.secret}`
    case 'link':
      return `link ${namespace}/${step.account} ${step.secret}`
    case 'recreate':
      return `recreate ${namespace}/${step.pod}`
  }
}

/** Returns what `-o json` prints under `fix` (docs/cli.md), without the content of the secret. */
export function shownReport({ step, outcome, problem }: StepReport): object {
  if (step.do !== 'copy') return { ...step, outcome, problem }
  const { from, ...rest } = step
  const { namespace, name, expiresAt } = from
  return { ...rest, from: { namespace, name, expiresAt }, outcome, problem }
}

/** Returns a step as text: `copy secret a/pull to b`. */
export function stepText(step: FixStep): string {
  const { namespace } = step
  switch (step.do) {
    case 'copy': {
      const { from, secret } = step
      const name = from.name === secret ? '' : ` as ${secret}`
      const expiry =
        from.expiresAt === null ? '' : `; it expires at ${from.expiresAt} and is not renewed`
      return `copy secret ${from.namespace}/${from.name} to ${namespace}${name}${expiry}`
    }
    case 'link':
      return `link secret ${step.secret} to service account ${namespace}/${step.account}`
    case 'recreate':
      return `recreate pod ${namespace}/${step.pod} of ${step.owner}`
  }
}
