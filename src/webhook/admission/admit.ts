/** One request to one verdict. Bugs are caught here, once, and the pod goes through as it is. */
import { isMirrorPod } from '../../decision/pod/sites.ts'
import type { LazySignal } from '../../decision/resolve/budget.ts'
import type { Decide } from '../../decision/resolve/decision-cache.ts'
import type { AdmissionOutcome } from '../../telemetry/webhook-metrics.ts'
import { verdictFor } from './verdict.ts'
import {
  type AdmissionPolicy,
  decideSites,
  type SiteDecision,
} from '../../decision/pod/decide-sites.ts'
import { mapMaybe } from '../../async/maybe-promise.ts'
import type { SecretProvisioner } from './secret-provisioner.ts'
import type { NamespaceLookup } from './namespace-lookup.ts'
import { unchanged, type AdmissionVerdict } from './admission-response.ts'
import type { AdmissionRequest } from './admission-review.ts'
import { startWatchdog } from './watchdog.ts'

export interface AdmissionDependencies {
  /** The configuration as it is now: read once for each review, so that a reload never splits one. */
  readonly current: () => {
    readonly policy: AdmissionPolicy
    readonly decide: Decide
    /** Left out: nothing is made for a pod. */
    readonly ensure?: SecretProvisioner
  }
  readonly facts: NamespaceLookup
  /** Milliseconds of the clock by which decisions are fresh. */
  readonly now: () => number
  /** Told of a bug; the pod is admitted all the same. */
  readonly onBug: (error: unknown, uid: string) => void
}

export interface Admission {
  readonly verdict: AdmissionVerdict
  readonly decisions: readonly SiteDecision[]
  readonly mode: 'enforce' | 'observe'
  readonly failed: boolean
  /** Whether a review that says the same would get the same answer now. */
  readonly holds: () => boolean
}

const never = () => false

export interface AdmitOptions {
  readonly signal: LazySignal
  readonly observeOnly: boolean
}

export type Admit = (
  request: AdmissionRequest,
  options: AdmitOptions,
) => Admission | Promise<Admission>

/**
 * Makes the function that answers reviews. It never rejects, denies only what a rule of the configuration denies, answers
 * at once when nothing has to be asked, and soon after its signal aborts whatever the rooms behind it do.
 */
export function createAdmit({ current, facts, now, onBug }: AdmissionDependencies): Admit {
  return (request, options) => {
    const engine = current()
    const { policy, decide, ensure = null } = engine
    const mode = options.observeOnly ? 'observe' : policy.mode
    const asItIs = (warning: string): Admission => {
      const warnings = [`berth: ${warning}; the pod is admitted as it is`]
      return {
        verdict: { ...unchanged, warnings },
        decisions: [],
        mode,
        failed: true,
        holds: never,
      }
    }
    const bug = (error: unknown): Admission => {
      onBug(error, request.uid)
      return asItIs('an internal error')
    }
    try {
      if (!isOurs(request))
        return { verdict: unchanged, decisions: [], mode, failed: false, holds: never }
      const admission = mapMaybe(
        decideSites(decide, { request, policy, signal: options.signal }),
        (decisions) =>
          mapMaybe(
            verdictFor({ request, policy, facts, ensure, signal: options.signal, decisions, mode }),
            (verdict) => ({
              verdict,
              decisions,
              mode,
              failed: false,
              holds: holdsFor(engine, decisions),
            }),
          ),
      )
      if (!(admission instanceof Promise)) return admission
      // What had to be asked of the cluster may be otherwise the next time.
      const watchdog = startWatchdog(options.signal())
      return Promise.race([admission, watchdog.bite])
        .then((made) => (made === null ? asItIs('no decision in time') : { ...made, holds: never }))
        .catch(bug)
        .finally(() => watchdog.stop())
    } catch (error) {
      return bug(error)
    }
  }

  /** As long as the configuration is in force and each of the decisions is fresh. */
  function holdsFor(inForce: unknown, decisions: readonly SiteDecision[]): () => boolean {
    const freshUntil = Math.min(...decisions.map(({ resolution }) => resolution?.freshUntil ?? 0))
    return () => current() === inForce && now() < freshUntil
  }
}

function isOurs({ isPod, operation, subResource, object }: AdmissionRequest): boolean {
  const known =
    subResource === '' || (subResource === 'ephemeralcontainers' && operation === 'UPDATE')
  return isPod && operation !== 'other' && known && !isMirrorPod(object)
}

/** What became of the pod, for the log and the metrics. */
export function outcomeOf({
  failed,
  verdict,
}: Pick<Admission, 'failed' | 'verdict'>): AdmissionOutcome {
  if (failed) return 'error'
  if (verdict.denied !== null) return 'denied'
  return verdict.patch.length > 0 ? 'patched' : 'unchanged'
}
