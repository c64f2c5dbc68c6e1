/**
 * Elects one leader among replicas by a Lease, with the rules and times of client-go's leaderelection.go: the holder of the
 * Lease leads for as long as it renews it. Every replica judges the age of the Lease by its own clock.
 */
import { linkAbort } from '../../async/abort.ts'
import { sleep } from '../../async/sleep.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject, ResourceRef } from '../../kube/object.ts'

export interface LeaderElectionOptions {
  readonly namespace: string
  /** The name of the Lease. */
  readonly name: string
  /** Unique among the replicas: the pod's name and a random part. */
  readonly identity: string
  readonly signal: AbortSignal
  readonly times?: LeaderElectionTimes | undefined
  /** Runs while this replica leads. The signal aborts when it loses the Lease; leading ends when the promise settles. */
  readonly lead: (signal: AbortSignal) => Promise<void>
  readonly onChange?: (isLeader: boolean) => void
  /** Called for a failed request. The next attempt follows. */
  readonly onError?: (error: unknown) => void
}

export interface LeaderElectionTimes {
  /** Another replica takes the Lease when it has not been renewed for this long. */
  readonly leaseMs: number
  /** The leader stops when it has not renewed the Lease for this long: less than `leaseMs`, so that two never lead. */
  readonly renewMs: number
  /** Between two attempts. */
  readonly retryMs: number
}

/** client-go's defaults for controllers (component-base/config, RecommendedDefaultLeaderElectionConfiguration). */
const defaultTimes: LeaderElectionTimes = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2_000 }

/** Candidates wait for up to 2.2 times `retryMs`, so that they do not retry in step (leaderelection.go, JitterFactor). */
const jitterFactor = 1.2

/** Between two attempts without the right to use the Lease. Not longer, because no loop runs without the Lease. */
const forbiddenRetryMs = 30_000

/** Takes part until `signal` aborts. Releases the Lease when `lead` ends, so that another replica can lead at once. */
export async function runLeaderElection(
  api: KubeApi,
  { times = defaultTimes, ...options }: LeaderElectionOptions,
): Promise<void> {
  const { signal, onError } = options
  const lease = createLease(api, { times, ...options })
  while (!signal.aborted) {
    if (await lease.hold()) {
      await leadWhileHeld(lease, { times, ...options })
      await lease.release().catch((error: unknown) => onError?.(error))
    }
    const retryMs = lease.isForbidden() ? Math.max(forbiddenRetryMs, times.retryMs) : times.retryMs
    await sleep(retryMs * (1 + Math.random() * jitterFactor), signal)
  }
}

type Settings = LeaderElectionOptions & { readonly times: LeaderElectionTimes }

async function leadWhileHeld(
  lease: Lease,
  { times, signal, lead, onChange }: Settings,
): Promise<void> {
  const leading = linkAbort(signal)
  onChange?.(true)
  const renewing = renewUntilLost(lease, times, leading.signal).then(() => leading.abort())
  try {
    await lead(leading.signal)
  } finally {
    leading.abort()
    leading.unlink()
    await renewing
    onChange?.(false)
  }
}

/** Resolves when no renewal has succeeded for `renewMs`, or when the signal aborts. */
async function renewUntilLost(
  lease: Lease,
  { retryMs, renewMs }: LeaderElectionTimes,
  signal: AbortSignal,
): Promise<void> {
  let renewedAt = performance.now()
  while (performance.now() - renewedAt <= renewMs) {
    await sleep(retryMs, signal)
    if (signal.aborted) return
    if (await lease.hold()) renewedAt = performance.now()
  }
}

interface Lease {
  /** Acquires or renews the Lease. Returns false when another replica holds it or the request fails. */
  hold(): Promise<boolean>
  /** Returns whether the last attempt failed because a right is missing. */
  isForbidden(): boolean
  /** Throws KubeError. */
  release(): Promise<void>
}

interface LeaseObject extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly acquireTime?: string
    readonly renewTime?: string
    readonly leaseTransitions?: number
  }
}

function createLease(api: KubeApi, options: Settings): Lease {
  const { namespace, name, identity, times, signal, onError } = options
  const collection: ResourceRef = {
    apiVersion: 'coordination.k8s.io/v1',
    resource: 'leases',
    namespace,
  }
  const ref: ResourceRef = { ...collection, name }
  const isHeldByOther = createHolderCheck(identity)
  let isForbidden = false

  async function acquireOrRenew(within: AbortSignal): Promise<boolean> {
    const lease = await api.get<LeaseObject>(ref, { signal: within })
    const time = new Date().toISOString().replace('Z', '000Z')
    const held = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(times.leaseMs / 1000),
      renewTime: time,
    }
    if (lease === null) {
      const spec = { ...held, acquireTime: time, leaseTransitions: 0 }
      const metadata = { namespace, name }
      const object = { apiVersion: ref.apiVersion, kind: 'Lease', metadata, spec }
      await api.create(collection, object, { signal: within })
      return true
    }
    if (isHeldByOther(lease)) return false
    const { spec = {} } = lease
    const acquired =
      spec.holderIdentity === identity
        ? {}
        : { acquireTime: time, leaseTransitions: (spec.leaseTransitions ?? 0) + 1 }
    const object = { ...lease, spec: { ...spec, ...held, ...acquired } }
    await api.replace(ref, object, { signal: within })
    return true
  }

  return {
    async hold() {
      try {
        const isHeld = await withTimeout(api, times, signal, acquireOrRenew)
        isForbidden = false
        return isHeld
      } catch (error) {
        isForbidden = hasStatus(error, 403)
        // 409: another replica was faster.
        if (!signal.aborted && !hasStatus(error, 409)) onError?.(error)
        return false
      }
    },
    isForbidden: () => isForbidden,
    // An empty holder makes the Lease free at once (leaderelection.go, release).
    release: () =>
      withTimeout(api, times, new AbortController().signal, async (within) => {
        const lease = await api.get<LeaseObject>(ref, { signal: within })
        if (lease?.spec?.holderIdentity !== identity) return
        const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1 }
        await api.replace(ref, { ...lease, spec }, { signal: within })
      }),
  }
}

/** Returns a function that says whether another replica holds the Lease, by the time since its last change was first seen. */
function createHolderCheck(identity: string): (lease: LeaseObject) => boolean {
  let seenVersion: string | undefined
  let seenAt = -Infinity
  return ({ metadata: { resourceVersion }, spec = {} }) => {
    const now = performance.now()
    if (seenVersion !== resourceVersion) {
      seenVersion = resourceVersion
      seenAt = now
    }
    const { holderIdentity = '', leaseDurationSeconds = 0 } = spec
    if (holderIdentity === '' || holderIdentity === identity) return false
    return now < seenAt + leaseDurationSeconds * 1000
  }
}

/** Aborts a request after half of the time for a renewal, so that another attempt fits in. */
async function withTimeout<T>(
  api: Pick<KubeApi, 'reconnect'>,
  { renewMs }: LeaderElectionTimes,
  parent: AbortSignal,
  request: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const link = linkAbort(parent)
  const timer = setTimeout(() => {
    link.abort(new Error('the request for the Lease timed out'))
    api.reconnect()
  }, renewMs / 2)
  try {
    return await request(link.signal)
  } finally {
    clearTimeout(timer)
    link.unlink()
  }
}
