/**
 * Admits one request: from the request to the verdict. Bugs are caught here, once: the pod is then admitted unchanged, or
 * denied if a rule denies images.
 */
import { type Lane, stoppableLane } from '../../async/lane.ts'
import { readPodContext } from '../../decision/pod/pod-context.ts'
import { isMirrorPod } from '../../decision/pod/sites.ts'
import type { LazySignal } from '../../decision/resolve/budget.ts'
import type { AdmissionOutcome } from '../../telemetry/webhook-metrics.ts'
import { createSharedVerdicts } from './shared-verdicts.ts'
import { verdictFor } from './verdict.ts'
import {
  decidePod,
  findDeniedByRow,
  type PodDecider,
  type PodDecision,
} from '../../decision/pod/decide-pod.ts'
import { decideByRevision, type RevisionOptions } from '../../decision/pod/decide-by-revision.ts'
import { revisionOf } from '../../decision/pod/revision.ts'
import { type AdmissionPolicy, type SitesRequest } from '../../decision/pod/decide-sites.ts'
import { deniedBy } from '../../decision/pod/site-warnings.ts'
import { mapMaybe, type MaybePromise } from '../../async/maybe-promise.ts'
import type { SecretProvisioner } from './secret-provisioner.ts'
import type { NamespaceLookup } from './namespace-lookup.ts'
import { type ConflictOwners, noConflictOwners } from './conflict-owners.ts'
import type { PodContext } from '../../decision/fallback/pod-context.ts'
import { inConflict, type ResolvePolicy } from '../../decision/resolve/resolve-policy.ts'
import { unchanged, type AdmissionVerdict } from './admission-response.ts'
import type { AdmissionRequest } from './admission-review.ts'
import { startWatchdog } from './watchdog.ts'

/** What admission takes from the config that is in force. */
export interface AdmissionEngine extends PodDecider {
  readonly policy: AdmissionPolicy & Pick<ResolvePolicy, 'pin'>
  /** True if a row or the pin denies pods. A pod that cannot be checked is denied then. */
  readonly hasDenial: boolean
  /** Left out: no pull secrets are created for a pod. */
  readonly secretProvisioner?: SecretProvisioner
}

export interface AdmissionDependencies {
  /** Called once for each review, so that a reload never applies to a part of one. */
  readonly currentEngine: () => AdmissionEngine
  readonly namespaceLookup: NamespaceLookup
  /** Left out: pods of one revision can get different digests. */
  readonly revisions?: RevisionDependencies | undefined
  /** Left out: no owner is in conflict. */
  readonly conflictOwners?: Pick<ConflictOwners, 'includes'>
  /** In which the reviews of large pods take turns. */
  readonly lane: Lane
  /** Called with a bug, before the pod is admitted unchanged or denied. */
  readonly onBug: (error: unknown, uid: string) => void
}

export type RevisionDependencies = Pick<RevisionOptions, 'siblings' | 'onLookup'>

export interface Admission extends PodDecision {
  readonly verdict: AdmissionVerdict
  readonly mode: 'enforce' | 'observe'
  /** True when a bug or a missed deadline left the pod unchanged, or denied if a rule denies it. */
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
  revisions,
  conflictOwners = noConflictOwners,
  lane,
  onBug,
}: AdmissionDependencies): Admit {
  const sharedVerdicts = createSharedVerdicts()
  return (request, options) => {
    const engine = currentEngine()
    const { policy, secretProvisioner = null } = engine
    const { signal } = options
    const mode = options.observeOnly ? 'observe' : policy.mode

    const input = {
      request,
      policy,
      pod: podContextOf(request, policy, conflictOwners),
      signal,
    }

    const admitUndecided = async (reason: string): Promise<Admission> => {
      const denied = mode === 'observe' ? null : await findDenial(engine, input, lane)
      const warnings = denied === null ? [`berth: ${reason}; pod admitted unchanged`] : []
      return {
        verdict: { ...unchanged, denied, warnings },
        ...undecided,
        mode,
        isFailed: true,
      }
    }
    const admitDespiteBug = (error: unknown): Promise<Admission> => {
      onBug(error, request.uid)
      return admitUndecided('internal error')
    }
    try {
      if (!isRelevant(request)) return { verdict: unchanged, ...undecided, mode, isFailed: false }
      const work = stoppableLane(lane)
      const decider = mode === 'observe' ? engine : deciderFor(engine, request, revisions)
      const admitting = mapMaybe(decidePod(decider, input, work), (decided) =>
        mapMaybe(
          verdictFor({
            ...input,
            ...decided,
            namespaceLookup,
            secretProvisioner,
            mode,
            sharedVerdicts,
          }),
          (verdict): Admission => ({ ...decided, verdict, mode, isFailed: false }),
        ),
      )
      if (!(admitting instanceof Promise)) return admitting
      const watchdog = startWatchdog(signal())
      return Promise.race([admitting, watchdog.expired])
        .then((admission) => {
          if (admission !== null) return admission
          work.stop()
          return admitUndecided('no decision in time')
        })
        .catch(admitDespiteBug)
        .finally(() => {
          watchdog.stop()
          work.stop()
        })
    } catch (error) {
      return admitDespiteBug(error)
    }
  }
}

/** Only a new pod follows its revision: an update changes only images that differ from the template of the revision. */
function deciderFor(
  engine: PodDecider,
  { operation, subResource, object, namespace, dryRun }: AdmissionRequest,
  revisions: RevisionDependencies | undefined,
): PodDecider {
  if (revisions === undefined || operation !== 'CREATE' || subResource !== '') return engine
  const decide = decideByRevision(engine.decide, {
    ...revisions,
    revisionOf: () => revisionOf(object, namespace),
    isDryRun: dryRun,
  })
  return { decide, decideByRow: engine.decideByRow }
}

/** Returns what rows can see of the pod of a request. */
function podContextOf(
  { object, namespace }: AdmissionRequest,
  policy: Pick<ResolvePolicy, 'pin'>,
  conflictOwners: Pick<ConflictOwners, 'includes'>,
): PodContext {
  const context = readPodContext(object, namespace)
  return conflictOwners.includes(object, namespace) ? inConflict(policy, context) : context
}

/** The time to look for a rule that denies, after the time of the review is over. The API server still waits then. */
const findDenialMs = 500

const uncheckable = 'its images cannot be checked, and a rule of the config denies images'

/** Returns why a rule denies the pod if no registry answers; null if none does. Takes half a second at most. */
async function findDenial(
  { decideByRow, hasDenial }: AdmissionEngine,
  input: SitesRequest,
  sharedLane: Lane,
): Promise<string | null> {
  if (!hasDenial) return null
  const lane = stoppableLane(sharedLane)
  const { promise: timeout, resolve } = Promise.withResolvers<'timeout'>()
  const timer = setTimeout(() => resolve('timeout'), findDenialMs)
  try {
    const denied = await Promise.race([findDeniedByRow(decideByRow, input, lane), timeout])
    if (denied !== 'timeout') return denied === null ? null : deniedBy([denied])
    return `berth: too many image fields: ${uncheckable}; make the pod smaller`
  } catch {
    // The bug is in the decision of some image.
    return `berth: internal error: ${uncheckable}`
  } finally {
    clearTimeout(timer)
    lane.stop()
  }
}

const undecided: PodDecision = { decisions: [], rest: null }

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
