/** Removes from a cluster what an uninstall plan lists. */
import { sleep } from '../async/sleep.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { linkAccount } from '../pull-secrets/cluster/link-account.ts'
import { readAccount, type ServiceAccountObject } from '../pull-secrets/objects.ts'
import { planUninstall, type UninstallPlan, type UninstallStep } from './uninstall-plan.ts'

export interface UninstallOptions {
  /** Where Berth runs. */
  readonly namespace: string
  readonly signal: AbortSignal
  /** Called after each step; null for success. */
  readonly onStep: (step: UninstallStep, problem: string | null) => void
  /** Milliseconds between two passes. Tests shorten it. */
  readonly passGapMs?: number
}

/** A controller that is still stopping may create a copy or a link once more. */
const maxPasses = 5
const defaultPassGapMs = 2_000

/**
 * Carries out the plan, and then plans again until nothing is left. Returns what is left: steps that fail, and objects that
 * a running controller creates again. Throws KubeError if the API server does not answer.
 */
export async function uninstall(
  api: KubeApi,
  plan: UninstallPlan,
  { namespace, signal, onStep, passGapMs = defaultPassGapMs }: UninstallOptions,
): Promise<UninstallPlan> {
  let left = plan
  for (let pass = 1; left.steps.length > 0 && pass <= maxPasses; pass++) {
    if (pass > 1) await sleep(passGapMs, signal)
    let hasSucceeded = false
    for (const step of left.steps) {
      signal.throwIfAborted()
      const problem = await carryOut(api, step, signal)
      hasSucceeded ||= problem === null
      onStep(step, problem)
    }
    left = await planUninstall(api, namespace)
    if (!hasSucceeded) break
  }
  return left
}

/** Returns why the step failed; null if it did not. */
async function carryOut(
  api: KubeApi,
  { action, ref, uid }: UninstallStep,
  signal: AbortSignal,
): Promise<string | null> {
  try {
    if (action === 'delete') await api.delete(ref, { uid }, { signal })
    else await unlink(api, ref, signal)
    return null
  } catch (error) {
    signal.throwIfAborted()
    return error instanceof Error ? error.message : String(error)
  }
}

async function unlink(api: KubeApi, ref: UninstallStep['ref'], signal: AbortSignal): Promise<void> {
  const { namespace = '', name } = ref
  const account = await api.get<ServiceAccountObject>(ref, { signal })
  const was = account === null ? null : readAccount(account)
  if (was === null) return
  const change = { add: [], remove: was.linked, isManaged: true }
  await linkAccount(api, { namespace, name }, change, { was, signal })
}
