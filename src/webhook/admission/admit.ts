/** Admits one request: from the request to the verdict. Bugs are caught here, once, and the pod is admitted unchanged. */
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
import { mapMaybe, type MaybePromise } from '../../async/maybe-promise.ts'
import type { SecretProvisioner } from './secret-provisioner.ts'
import type { NamespaceLookup } from './namespace-lookup.ts'
import { unchanged, type AdmissionVerdict } from './admission-response.ts'
import type { AdmissionRequest } from './admission-review.ts'
import { startWatchdog } from './watchdog.ts'

/** What admission takes from the config that is in force. */
export interface AdmissionEngine {
  readonly policy: AdmissionPolicy
  readonly decide: Decide
  /** Left out: no pull secrets are created for a pod. */
  readonly secretProvisioner?: SecretProvisioner
}

export interface AdmissionDependencies {
  /** Called once for each review, so that a reload never applies to a part of one. */
  readonly currentEngine: () => AdmissionEngine
  readonly namespaceLookup: NamespaceLookup
  /** Called with a bug; the pod is admitted unchanged. */
  readonly onBug: (error: unknown, uid: string) => void
}

export interface Admission {
  readonly verdict: AdmissionVerdict
  readonly decisions: readonly SiteDecision[]
  readonly mode: 'enforce' | 'observe'
  /** True when a bug or a missed deadline left the pod unchanged. */
  readonly isFailed: boolean
}

export interface AdmitOptions {
  readonly signal: LazySignal
  /** True: decide and record, but change nothing. */
  readonly observeOnly: boolean
}

export type Admit = (request: AdmissionRequest, options: AdmitOptions) => MaybePromise<Admission>

/**
 * Creates the function that admits requests. It never rejects, and denies only what a row or `pin` of the config denies. It is
 * synchronous when no registry and no API server has to be asked. Soon after its signal aborts it answers, whether or not
 * the work under that signal has stopped.
 */
export function createAdmit({
  currentEngine,
  namespaceLookup,
  onBug,
}: AdmissionDependencies): Admit {
  return (request, options) => {
    const { policy, decide, secretProvisioner = null } = currentEngine()
    const { signal } = options
    const mode = options.observeOnly ? 'observe' : policy.mode

    const admitUnchanged = (reason: string): Admission => {
      const warnings = [`berth: ${reason}; pod admitted unchanged`]
      return { verdict: { ...unchanged, warnings }, decisions: [], mode, isFailed: true }
    }
    const admitDespiteBug = (error: unknown): Admission => {
      onBug(error, request.uid)
      return admitUnchanged('internal error')
    }
    try {
      if (!isRelevant(request)) return { verdict: unchanged, decisions: [], mode, isFailed: false }
      const admitting = mapMaybe(decideSites(decide, { request, policy, signal }), (decisions) =>
        mapMaybe(
          verdictFor({
            request,
            policy,
            namespaceLookup,
            secretProvisioner,
            signal,
            decisions,
            mode,
          }),
          (verdict): Admission => ({ verdict, decisions, mode, isFailed: false }),
        ),
      )
      if (!(admitting instanceof Promise)) return admitting
      const watchdog = startWatchdog(signal())
      return Promise.race([admitting, watchdog.expired])
        .then((admission) => admission ?? admitUnchanged('no decision in time'))
        .catch(admitDespiteBug)
        .finally(() => watchdog.stop())
    } catch (error) {
      return admitDespiteBug(error)
    }
  }
}

function isRelevant({ isPod, operation, subResource, object }: AdmissionRequest): boolean {
  const hasKnownSubResource =
    subResource === '' || (subResource === 'ephemeralcontainers' && operation === 'UPDATE')
  return isPod && operation !== 'other' && hasKnownSubResource && !isMirrorPod(object)
}

/** Returns the outcome for the log and the metrics. */
export function outcomeOf({
  isFailed,
  verdict,
}: Pick<Admission, 'isFailed' | 'verdict'>): AdmissionOutcome {
  if (isFailed) return 'error'
  if (verdict.denied !== null) return 'denied'
  return verdict.patch.length > 0 ? 'patched' : 'unchanged'
}
