/**
 * What the controller remembers about the owners that it restarts. Outlives a config and a leadership, so that a reload evicts
 * no pod again. Bounded.
 */
import { LRUCache } from 'lru-cache'
import type { OwnerReference } from '../kube/object.ts'
import type { UnrecordedPod } from '../report/unprocessed-pods.ts'
import { createTaskBackoff, type TaskBackoff } from './runtime/task-backoff.ts'

/** An owner with one of its pods. */
export interface Restart {
  readonly pod: Pick<UnrecordedPod, 'namespace' | 'name' | 'labels'>
  readonly owner: OwnerReference
}

/** An owner with an evicted pod. All times are those of `performance.now()`. */
export interface StartingOwner extends Restart {
  /** The UIDs of the pods that the owner had before the eviction. */
  readonly knownUids: ReadonlySet<string>
  /** When the replacement of the evicted pod is overdue. */
  readonly replacedBy: number
  /** Whether the replacement was seen, or is overdue. */
  isReplaced: boolean
  /** When other owners no longer wait until all pods are ready. */
  readonly until: number
}

export interface RestartMemory {
  /** The revisions of owners that are not restarted again, with the reason. */
  readonly stopped: LRUCache<string, string>
  /** By the UID of the owner. One for each namespace, so that a tenant can hold up its own restarts only. */
  readonly starting: Map<string, StartingOwner>
  /** The UIDs of the owners for which the log has the reason why they wait. */
  readonly waiting: LRUCache<string, true>
  readonly backoff: TaskBackoff
}

/** The maximum number of owners that are remembered. */
const maxOwners = 10_000

/** The time between two log lines about an owner that waits. */
const waitingMs = 600_000

export function createRestartMemory(): RestartMemory {
  return {
    stopped: new LRUCache({ max: maxOwners }),
    starting: new Map(),
    waiting: new LRUCache({ max: maxOwners, ttl: waitingMs }),
    backoff: createTaskBackoff(() => performance.now()),
  }
}
