/**
 * Finds which digests the other pods of a revision run, with one list of their metadata, which is cached for seconds. Replicas of
 * the webhook agree because they see the same pods; nothing is written.
 */
import { LRUCache } from 'lru-cache'
import { untilAborted } from '../../async/abort.ts'
import { createFairLimit } from '../../async/fair-limit.ts'
import type { SiblingDigests } from '../../decision/pod/decide-by-revision.ts'
import {
  controllerUid,
  digestsOf,
  type Revision,
  type SiblingDigest,
} from '../../decision/pod/revision.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { BerthError } from '../../errors.ts'
import { hasStatus, KubeError } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import type { Logger } from '../../telemetry/log.ts'

export interface SiblingDigestsDependencies {
  readonly api: Pick<KubeApi, 'list'>
  readonly log: Pick<Logger, 'debug' | 'info'>
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

/**
 * Spares the API server a list for each pod of a big Deployment. Short, because a replica of the webhook that remembers the
 * digest of pods that are gone could disagree with one that does not.
 */
const freshMs = 10_000

/** If the pods that exist have no digest for an image, a pod that is created now may be the first with one. */
const noDigestMs = 500

/** If the API server does not answer, a digest that is this old is better than that of a moved tag. */
const keptMs = 600_000

/** Until the API server has stored a pod that was admitted. */
const expectedMs = 30_000

/** The right was not granted: asked again after an administrator has had time to grant it. */
const refusedMs = 600_000

/** Pods of a revision whose list has failed do not each wait for the same failure. */
const failedMs = 5_000

/** Less than half of the time of a review: the registry is asked after it. */
const listTimeoutMs = 1_000

/** The metadata of a pod takes 2 to 5 kB, and its annotations up to 256 KiB. */
const page = { limit: 50, maxBytes: 1_048_576 }

/** Lists in flight: 8 MiB at most, and one namespace does not use all of them. */
const listLimits = { max: 8, maxPerKey: 2 }

const maxRevisions = 5_000
const maxBytes = 4_000_000

/** Estimate for the objects of an entry and of each digest. */
const overheadBytes = 200

interface Listed {
  readonly digests: ReadonlyMap<string, readonly SiblingDigest[]>
  /** False if no pod of the revision exists yet. */
  readonly hasPods: boolean
  readonly at: number
}

/** Why a list has no result. */
type ListFailure = 'forbidden' | 'failed'

/** Creates the lookup of one process: it outlives the configs. */
export function createSiblingDigests(dependencies: SiblingDigestsDependencies): SiblingDigests {
  const { now } = dependencies
  const { listed, expected, failures } = createMemory(now)
  const listPods = createListPods(dependencies)
  const inFlight = new Map<string, Promise<Listed | ListFailure>>()
  let refusedUntil = 0

  async function list(revision: Revision, key: string): Promise<Listed | ListFailure> {
    const result = await listPods(revision)
    if (result === 'forbidden') refusedUntil = now() + refusedMs
    else if (result === 'failed') failures.set(key, true)
    else listed.set(key, result)
    return result
  }

  /** One list serves all reviews that need it meanwhile. */
  function listOnce(revision: Revision, key: string): Promise<Listed | ListFailure> {
    const running = inFlight.get(key)
    if (running !== undefined) return running
    const started = list(revision, key).finally(() => inFlight.delete(key))
    inFlight.set(key, started)
    return started
  }

  return {
    find: (revision, image, signal) => {
      const key = keyOf(revision)
      const known = listed.get(key)
      const digests = known?.digests.get(image)
      const age = known === undefined ? Infinity : now() - known.at
      if (digests !== undefined && age < freshMs) return { source: 'memory', digests }
      if (now() < refusedUntil) return { source: 'forbidden', digests: [] }
      const digest = expected.get(`${key} ${image}`)
      const pending = digest === undefined ? [] : [{ digest, pod: null }]
      if (known?.hasPods === true && age < noDigestMs) return { source: 'none', digests: pending }
      const afterFailure = { source: 'failed' as const, digests: digests ?? pending }
      if (failures.has(key)) return afterFailure
      return untilAborted(listOnce(revision, key), signal(), 'failed' as const).then((result) => {
        if (result === 'forbidden') return { source: 'forbidden', digests: [] }
        if (result === 'failed') return afterFailure
        const seen = result.digests.get(image)
        return seen === undefined
          ? { source: 'none', digests: pending }
          : { source: 'list', digests: seen }
      })
    },
    expect: (revision, image, digest) => {
      expected.set(`${keyOf(revision)} ${image}`, digest)
    },
  }
}

interface Memory {
  /** By revision. */
  readonly listed: LRUCache<string, Listed>
  /** By revision and image. */
  readonly expected: LRUCache<string, string>
  /** By revision. */
  readonly failures: LRUCache<string, true>
}

function createMemory(now: () => number): Memory {
  const shared = { max: maxRevisions, ttlResolution: 0, perf: { now } }
  return {
    listed: new LRUCache({
      ...shared,
      maxSize: maxBytes,
      sizeCalculation: listedBytes,
      ttl: keptMs,
    }),
    expected: new LRUCache({
      ...shared,
      maxSize: maxBytes,
      sizeCalculation: (digest, key) => key.length + digest.length + overheadBytes,
      ttl: expectedMs,
    }),
    failures: new LRUCache({ ...shared, ttl: failedMs }),
  }
}

/** Returns the function that lists the pods of a revision. */
function createListPods({
  api,
  log,
  now,
}: SiblingDigestsDependencies): (revision: Revision) => Promise<Listed | ListFailure> {
  const slots = createFairLimit(listLimits)
  return async ({ namespace, controller, selector }) => {
    const signal = AbortSignal.timeout(listTimeoutMs)
    if (!(await slots.acquire(namespace, signal))) return 'failed'
    try {
      const at = now()
      const pods = api.list(
        { apiVersion: 'v1', resource: 'pods', namespace },
        { labelSelector: selector, metadataOnly: true, page },
        signal,
      )
      const siblings: KubeObject[] = []
      for await (const pod of pods) if (controllerUid(pod) === controller) siblings.push(pod)
      return { digests: digestsOf(siblings), hasPods: siblings.length > 0, at }
    } catch (error) {
      if (isRefusal(error)) {
        log.info('pods of a revision not listed: the service account may not list pods')
        return 'forbidden'
      }
      log.debug({ namespace, err: error }, 'pods of a revision not listed')
      return 'failed'
    } finally {
      slots.release(namespace)
    }
  }
}

/** A BerthError of another kind says that the pod of the webhook has no token. */
function isRefusal(error: unknown): boolean {
  return (
    hasStatus(error, 401, 403) || (error instanceof BerthError && !(error instanceof KubeError))
  )
}

function keyOf({ namespace, controller, selector }: Revision): string {
  return JSON.stringify([namespace, controller, selector])
}

function listedBytes({ digests }: Listed, key: string): number {
  let bytes = key.length + overheadBytes
  for (const [image, found] of digests)
    for (const { digest, pod } of found)
      bytes += image.length + digest.length + (pod?.length ?? 0) + overheadBytes
  return bytes
}
