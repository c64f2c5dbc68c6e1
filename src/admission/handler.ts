/** One request to one verdict. Bugs are caught here, once, and the pod goes through as it is. */
import { annotationFits, buildPatch, type Patch } from '../pod/patch.ts'
import { missingPullSecrets } from '../pod/pull-secrets.ts'
import { annotations, isMirrorPod, member } from '../pod/sites.ts'
import { failedSteps, sentence } from '../resolve/sentence.ts'
import { isDenied } from '../resolve/resolution.ts'
import type { ResolveDependencies } from '../resolve/resolve.ts'
import { imagesAnnotation, writeRecords } from './annotation.ts'
import { type AdmissionPolicy, decideSites, recordsFor, type SiteDecision } from './decide.ts'
import type { NamespaceFacts } from './facts.ts'
import { unchanged, type Verdict } from './response.ts'
import type { AdmissionRequest } from './review.ts'

export interface AdmissionDependencies {
  /** The configuration as it is now: read once for each review, so that a reload never splits one. */
  readonly current: () => {
    readonly policy: AdmissionPolicy
    readonly resolve: ResolveDependencies
  }
  readonly facts: NamespaceFacts
  /** Told of a bug; the pod is admitted all the same. */
  readonly onBug: (error: unknown, uid: string) => void
}

export interface Admission {
  readonly verdict: Verdict
  readonly decisions: readonly SiteDecision[]
  readonly mode: 'enforce' | 'observe'
  readonly failed: boolean
}

export type Admit = (
  request: AdmissionRequest,
  options: { readonly signal: AbortSignal; readonly observeOnly: boolean },
) => Promise<Admission>

/**
 * Makes the function that answers reviews. It never rejects, denies only what a rule of the configuration denies, and
 * answers soon after its signal aborts, whatever the rooms behind it do.
 */
export function createAdmit({ current, facts, onBug }: AdmissionDependencies): Admit {
  return async (request, { signal, observeOnly }) => {
    const { policy, resolve } = current()
    const mode = observeOnly ? 'observe' : policy.mode
    const asItIs = (warning: string): Admission => {
      const verdict = {
        ...unchanged,
        warnings: [`berth: ${warning}; the pod is admitted as it is`],
      }
      return { verdict, decisions: [], mode, failed: true }
    }
    const work = async (): Promise<Admission> => {
      if (!isOurs(request)) return { verdict: unchanged, decisions: [], mode, failed: false }
      const decisions = await decideSites(resolve, policy, request, signal)
      const verdict = await conclude({ request, policy, facts, signal, decisions })
      return {
        verdict: mode === 'observe' ? observed(verdict) : verdict,
        decisions,
        mode,
        failed: false,
      }
    }
    const watchdog = startWatchdog(signal)
    try {
      return (await Promise.race([work(), watchdog.bite])) ?? asItIs('no decision in time')
    } catch (error) {
      onBug(error, request.uid)
      return asItIs('an internal error')
    } finally {
      watchdog.stop()
    }
  }
}

/** Work ends by itself when its signal aborts; what has not ended this much later never will. Less than the budget's margin. */
const graceMs = 100

/** Resolves to null when the work is overdue. */
function startWatchdog(signal: AbortSignal): { readonly bite: Promise<null>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<null>()
  let timer: NodeJS.Timeout | undefined
  const start = () => {
    timer = setTimeout(() => resolve(null), graceMs)
  }
  if (signal.aborted) start()
  else signal.addEventListener('abort', start, { once: true })
  return {
    bite: promise,
    stop: () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', start)
    },
  }
}

function isOurs({ isPod, operation, subResource, object }: AdmissionRequest): boolean {
  const known =
    subResource === '' || (subResource === 'ephemeralcontainers' && operation === 'UPDATE')
  return isPod && operation !== 'other' && known && !isMirrorPod(object)
}

interface Conclusion {
  readonly request: AdmissionRequest
  readonly policy: AdmissionPolicy
  readonly facts: NamespaceFacts
  readonly signal: AbortSignal
  readonly decisions: readonly SiteDecision[]
}

async function conclude(conclusion: Conclusion): Promise<Verdict> {
  const { request, decisions } = conclusion
  const records = recordsFor(request.object, decisions, sentence)
  const secrets = await pullSecrets(conclusion)
  const value = writeRecords(records)
  const fits = annotationFits(request.object, { key: imagesAnnotation, value })
  const patch = buildPatch(request.object, {
    sites: decisions,
    annotation: records.length > 0 && fits ? { key: imagesAnnotation, value } : null,
    pullSecrets: secrets.names,
  })
  const warnings = [...decisions.flatMap(warningsFor), ...secrets.warnings]
  if (!fits)
    warnings.push(
      `berth: the annotation ${imagesAnnotation} is left out: the pod's annotations are full`,
    )
  return {
    patch: records.length === 0 ? [...patch, ...removeStale(request)] : patch,
    denied: deniedBy(decisions),
    warnings,
    auditAnnotations: records.length === 0 ? {} : { images: value },
  }
}

/** An annotation that says something of images on which Berth has no say is not Berth's. */
function removeStale({ operation, object }: AdmissionRequest): Patch {
  if (operation !== 'CREATE' || !Object.hasOwn(annotations(object), imagesAnnotation)) return []
  return [{ op: 'remove', path: `/metadata/annotations/${imagesAnnotation.replace('/', '~1')}` }]
}

function warningsFor({ asked, site, resolution, fault }: SiteDecision): string[] {
  if (fault !== null) return [`berth: ${site.name}: ${asked} is no image name: ${fault}`]
  if (resolution === null) return []
  const { domain } = resolution.original
  const doubtful = ['none-found', 'first-unproved'].includes(resolution.reason)
  // Silent about a registry that is none of ours to ask: it would be said of every such pod.
  const notPinned =
    resolution.unpinned !== null &&
    resolution.steps.some(({ milliseconds }) => milliseconds !== null)
  const lines: string[] = []
  if (doubtful || notPinned || failedSteps(resolution).length > 0)
    lines.push(`berth: ${asked}: ${sentence(resolution)}`)
  if (domain === '') lines.push(`berth: ${asked}: its host is no host name, so no row applies`)
  else if (domain.toLowerCase() !== domain)
    lines.push(`berth: ${asked}: ${domain} is not ${domain.toLowerCase()} to a runtime`)
  return lines
}

function deniedBy(decisions: readonly SiteDecision[]): string | null {
  const reasons = decisions.flatMap(({ asked, resolution }) => {
    if (resolution === null || !isDenied(resolution)) return []
    const rule =
      resolution.reason === 'row-denies'
        ? `row ${resolution.row} says otherwise: deny`
        : 'pin says unresolved: deny'
    return [`${asked}: ${rule}; ${sentence(resolution)}`]
  })
  if (reasons.length === 0) return null
  return `berth: ${reasons.join('; ')}; mirror the image, or change the rule`
}

/** Appended on CREATE only: afterwards the list cannot be changed. */
async function pullSecrets({
  request,
  policy,
  facts,
  signal,
  decisions,
}: Conclusion): Promise<{ names: string[]; warnings: string[] }> {
  const none = { names: [], warnings: [] }
  if (request.operation !== 'CREATE' || request.subResource !== '') return none
  const finals = decisions.flatMap(({ resolution }) =>
    resolution === null ? [] : [resolution.chosen],
  )
  const wanted = missingPullSecrets(policy.pullSecrets, request.object, finals)
  if (wanted.length === 0) return none
  const account = member(member(request.object, 'spec'), 'serviceAccountName')
  const name = typeof account === 'string' && account !== '' ? account : 'default'
  const mountable = await facts.mountableSecrets(request.namespace, name, signal)
  const refused =
    mountable === null || mountable === 'all'
      ? []
      : wanted.filter((secret) => !mountable.has(secret))
  const names = wanted.filter((secret) => !refused.includes(secret))
  const present = await Promise.all(
    names.map((secret) => facts.hasSecret(request.namespace, secret, signal)),
  )
  const absent = names.filter((_, index) => present[index] === false)
  return {
    names,
    warnings: [
      ...refused.map(
        (secret) =>
          `berth: pull secret ${secret} is not added: service account ${name} may not use it`,
      ),
      ...absent.map(
        (secret) => `berth: pull secret ${secret} is not in namespace ${request.namespace}`,
      ),
    ],
  }
}

/** Shadow mode: everything is decided and recorded, nothing is changed or refused. */
function observed({ patch, denied, warnings, auditAnnotations }: Verdict): Verdict {
  const refusal = denied === null ? [] : [denied]
  const changes = patch.length === 0 ? 'no' : String(patch.length)
  return {
    patch: [],
    denied: null,
    warnings: [...refusal, ...warnings].map((warning) =>
      warning.replace(/^berth:/, 'berth (observing):'),
    ),
    auditAnnotations: { ...auditAnnotations, mode: 'observe', changes },
  }
}
