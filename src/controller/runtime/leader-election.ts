/**
 * Leader election by a Lease, with the rules and times of client-go's leaderelection.go: whoever writes its name into the
 * Lease leads, for as long as it renews it; everyone judges a lease's age by the own clock, from when it last saw it change.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject, ResourceRef } from '../../kube/object.ts'

export interface LeaderElectionOptions {
  readonly namespace: string
  readonly name: string
  /** Unique among those who may lead: the pod's name and something of chance. */
  readonly identity: string
  readonly signal: AbortSignal
  readonly times?: LeaderElectionTimes
  /** Runs while we lead; its signal aborts when we lead no longer, and leading ends when it returns. */
  readonly lead: (signal: AbortSignal) => Promise<void>
  readonly onChange?: (leads: boolean) => void
  readonly onError?: (error: unknown) => void
}

export interface LeaderElectionTimes {
  /** Others wait this long after the last renewal. */
  readonly leaseMs: number
  /** We stop leading when no renewal has succeeded for this long; shorter than the lease, so that two never lead. */
  readonly renewMs: number
  readonly retryMs: number
}

/** client-go's defaults for controllers (component-base/config, RecommendedDefaultLeaderElectionConfiguration). */
const defaultTimes: LeaderElectionTimes = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2_000 }

interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly acquireTime?: string
    readonly renewTime?: string
    readonly leaseTransitions?: number
  }
}

/** Takes part until `signal` aborts or `lead` returns; then gives the lease back, so that the next one need not wait. */
export async function runLeaderElection(
  api: KubeApi,
  options: LeaderElectionOptions,
): Promise<void> {
  const { namespace, name, identity, signal, lead, onChange, onError } = options
  const times = options.times ?? defaultTimes
  const leases: ResourceRef = {
    apiVersion: 'coordination.k8s.io/v1',
    resource: 'leases',
    namespace,
  }
  const where: ResourceRef = { ...leases, name }
  let seen: { readonly version: string | undefined; readonly at: number } | null = null

  /** True if the lease is ours for another term. */
  async function acquire(within: AbortSignal): Promise<boolean> {
    const lease = await api.get<Lease>(where, { signal: within })
    const time = new Date().toISOString().replace('Z', '000Z')
    const term = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(times.leaseMs / 1000),
      renewTime: time,
    }
    if (lease === null) {
      const first = { ...term, acquireTime: time, leaseTransitions: 0 }
      await api.create(
        leases,
        { apiVersion: where.apiVersion, kind: 'Lease', metadata: { namespace, name }, spec: first },
        { signal: within },
      )
      return true
    }
    const spec = lease.spec ?? {}
    const isOurs = spec.holderIdentity === identity
    if (seen?.version !== lease.metadata.resourceVersion)
      seen = { version: lease.metadata.resourceVersion, at: performance.now() }
    const isHeld =
      (spec.holderIdentity ?? '') !== '' &&
      performance.now() < (seen?.at ?? 0) + (spec.leaseDurationSeconds ?? 0) * 1000
    if (isHeld && !isOurs) return false
    const taken = isOurs
      ? {}
      : { acquireTime: time, leaseTransitions: (spec.leaseTransitions ?? 0) + 1 }
    await api.replace(where, { ...lease, spec: { ...spec, ...term, ...taken } }, { signal: within })
    return true
  }

  /** Tries once. A conflict is somebody else's success. */
  async function attempt(): Promise<boolean> {
    const within = new AbortController()
    const end = () => within.abort(signal.reason)
    signal.addEventListener('abort', end, { once: true })
    const timer = setTimeout(() => {
      within.abort(new Error('the API server does not answer about the lease'))
      api.reconnect()
    }, times.renewMs / 2)
    try {
      return await acquire(within.signal)
    } catch (error) {
      if (!signal.aborted && !hasStatus(error, 409)) onError?.(error)
      return false
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
    }
  }

  async function leadOnce(): Promise<void> {
    const turn = new AbortController()
    const end = () => turn.abort(signal.reason)
    signal.addEventListener('abort', end, { once: true })
    onChange?.(true)
    const renewing = keepRenewing(turn)
    try {
      await lead(turn.signal)
    } finally {
      turn.abort()
      signal.removeEventListener('abort', end)
      await renewing
      onChange?.(false)
    }
  }

  async function keepRenewing(turn: AbortController): Promise<void> {
    let renewed = performance.now()
    while (!turn.signal.aborted) {
      await sleep(times.retryMs, undefined, { signal: turn.signal }).catch(() => undefined)
      if (turn.signal.aborted) return
      if (await attempt()) renewed = performance.now()
      else if (performance.now() - renewed > times.renewMs)
        turn.abort(new Error('the lease was lost'))
    }
  }

  /** An empty holder: the lease is free at once (leaderelection.go, release). */
  async function release(): Promise<void> {
    const lease = await api.get<Lease>(where)
    if (lease?.spec?.holderIdentity !== identity) return
    await api.replace(where, {
      ...lease,
      spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1 },
    })
  }

  while (!signal.aborted) {
    if (await attempt()) {
      await leadOnce()
      await release().catch((error: unknown) => onError?.(error))
      // Who has lost the lease waits for its turn like anybody else.
    }
    // By chance, so that candidates do not come in step (leaderelection.go, JitterFactor 1.2).
    if (!signal.aborted)
      await sleep(times.retryMs * (1 + Math.random() * 1.2), undefined, { signal }).catch(
        () => undefined,
      )
  }
}
