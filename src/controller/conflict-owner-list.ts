/** Keeps the ConfigMap with the owners whose pods the webhook leaves unchanged (`conflicts: leave`). */
import { backoffMs } from '../async/backoff.ts'
import {
  type ConflictOwner,
  conflictOwnerKey,
  conflictOwnersKey,
  conflictOwnersName,
  currentOwners,
  readConflictOwners,
  writeConflictOwners,
} from '../decision/pod/conflict-owners.ts'
import { groupKind } from '../decision/pod/pod-context.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { hasStatus, isMissingRight } from '../kube/error.ts'
import type { KubeObject } from '../kube/object.ts'
import type { Refusals } from '../kube/refusals.ts'
import type { ConflictMetrics } from '../telemetry/conflict-metrics.ts'
import type { Logger } from '../telemetry/log.ts'
import type { ImageConflict } from './image-conflicts.ts'

export interface ConflictOwnerList {
  /** Adds the owner of a conflict. Returns whether the list has it. Never throws. */
  add(conflict: ImageConflict): Promise<boolean>
  /** Removes the entries that have ended, and counts the others. Never throws. */
  update(): Promise<void>
}

export interface ConflictOwnerListOptions {
  readonly api: Pick<KubeApi, 'get' | 'replace'>
  /** Berth's own namespace. */
  readonly namespace: string
  readonly metrics: Pick<ConflictMetrics, 'left'>
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
  /** Outlives the list, so that a reload of the config does not retry a refused request at once. */
  readonly refusals: Refusals
  /** Milliseconds since 1970. */
  readonly now: () => number
}

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>
}

/** Long enough to add a row to the config. An owner whose entry has ended is found again. */
const entryLifeMs = 7 * 24 * 3_600_000

/** Only the leader writes, so a conflict means that a person edits the ConfigMap. */
const maxAttempts = 3

const failureBackoff = { firstMs: 10_000, maxMs: 600_000 }

const fix =
  'add the component leave-conflicts (Helm: controller.leaveConflicts=true), or set conflicts to report'

export function createConflictOwnerList(options: ConflictOwnerListOptions): ConflictOwnerList {
  const { api, namespace, metrics, log, refusals, now } = options
  const ref = { apiVersion: 'v1', resource: 'configmaps', namespace, name: conflictOwnersName }
  const key = `update configmaps ${namespace}/${conflictOwnersName}`

  /** Returns the entries after the change. Throws KubeError. */
  async function change(
    alter: (owners: readonly ConflictOwner[]) => readonly ConflictOwner[],
  ): Promise<readonly ConflictOwner[]> {
    for (let attempt = 1; ; attempt++) {
      const before = await api.get<ConfigMap>(ref)
      if (before === null) throw new Error(`configmaps ${namespace}/${conflictOwnersName} missing`)
      const owners = readConflictOwners(before.data?.[conflictOwnersKey])
      const altered = alter(owners)
      if (altered.length === owners.length && altered.every((each) => owners.includes(each)))
        return owners
      const text = writeConflictOwners(altered)
      const data = { ...before.data, [conflictOwnersKey]: text }
      try {
        await api.replace(ref, { ...before, apiVersion: 'v1', kind: 'ConfigMap', data })
        return readConflictOwners(text)
      } catch (error) {
        if (!hasStatus(error, 409) || attempt === maxAttempts) throw error
      }
    }
  }

  /** Returns null after a failure, and during the backoff that follows it. */
  async function attempt(
    alter: (owners: readonly ConflictOwner[]) => readonly ConflictOwner[],
  ): Promise<readonly ConflictOwner[] | null> {
    const failure = refusals.get(key)
    if (failure !== undefined && failure.retryAt > performance.now()) return null
    try {
      const owners = await change(alter)
      refusals.delete(key)
      metrics.left(owners.length)
      return owners
    } catch (error) {
      const count = (failure?.count ?? 0) + 1
      const retryAt = performance.now() + backoffMs(failureBackoff, count)
      refusals.set(key, { error, count, retryAt })
      const level = String(failure?.error) === String(error) ? 'debug' : 'warn'
      const message = isMissingRight(error) ? 'right missing' : 'owner in conflict not listed'
      log[level]({ problem: String(error), fix }, message)
      return null
    }
  }

  return {
    async add(conflict) {
      const entry = entryOf(conflict, now())
      let isNew = false
      const owners = await attempt((before) => {
        const current = currentOwners(before, now())
        isNew = !current.some((each) => isSame(each, entry))
        return isNew ? [...current, entry] : current
      })
      if (owners === null) return false
      const { kind, name } = entry
      if (isNew)
        log.warn(
          { namespace: entry.namespace, owner: `${kind}/${name}`, until: entry.until },
          'images of owner left unchanged',
        )
      return owners.some((each) => isSame(each, entry))
    },
    update: async () => {
      await attempt((before) => currentOwners(before, now()))
    },
  }
}

function isSame(one: ConflictOwner, other: ConflictOwner): boolean {
  return conflictOwnerKey(one) === conflictOwnerKey(other)
}

function entryOf({ namespace, owner }: ImageConflict, now: number): ConflictOwner {
  const { apiVersion, kind, name, uid } = owner
  return {
    kind: groupKind(apiVersion, kind),
    namespace,
    name,
    uid,
    since: timeText(now),
    until: timeText(now + entryLifeMs),
  }
}

function timeText(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.[0-9]+Z$/, 'Z')
}
