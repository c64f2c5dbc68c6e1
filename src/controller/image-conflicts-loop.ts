/**
 * The controller loop that finds owners which recreate pods because Berth changed their images. It records an Event on each of
 * these owners, with the row that leaves its images unchanged. With `conflicts: leave` it also adds the owner to the list from
 * which the webhook learns to leave its pods alone.
 */
import { createNotifier } from '../async/notifier.ts'
import { groupKind } from '../decision/pod/pod-context.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { recordEventOnce } from '../kube/event-recorder.ts'
import type { KubeObject } from '../kube/object.ts'
import type { ConflictMetrics } from '../telemetry/conflict-metrics.ts'
import type { Logger } from '../telemetry/log.ts'
import type { ConflictOwnerList } from './conflict-owner-list.ts'
import {
  createConflictDetector,
  type ImageConflict,
  readRewrittenPod,
  type RewrittenPod,
  rowToLeave,
} from './image-conflicts.ts'
import type { Loop } from './runtime/loops.ts'
import type { PodWatch } from './runtime/pod-watch.ts'

export interface ConflictsDependencies {
  readonly api: KubeApi
  readonly watch: PodWatch
  readonly metrics: ConflictMetrics
  /** Null: the webhook continues to change the images of such owners. */
  readonly list: ConflictOwnerList | null
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
}

/** How long an owner counts after a replacement, and how long the API server keeps an Event (--event-ttl). */
const countMs = 600_000
const eventMs = 3_600_000

/** The longest time between two updates of the metric. */
const updateMs = 60_000

/** What the loop knows of an owner that replaced pods too often. */
interface ReportedOwner {
  lastConflictAt: number
  /** Null before its Event. */
  eventAt: number | null
  /** The generation of an owner of the group apps when it was suspected; null for other owners. */
  generation: number | null
}

export function createConflictsLoop(dependencies: ConflictsDependencies): Loop {
  return {
    name: 'image-conflicts',
    run: async (signal) => {
      try {
        await run(dependencies, signal)
      } finally {
        // The next leader counts them.
        dependencies.metrics.conflicts(0)
        dependencies.metrics.left(0)
      }
    },
  }
}

async function run(dependencies: ConflictsDependencies, signal: AbortSignal): Promise<void> {
  const found = createNotifier()
  const conflicts: ImageConflict[] = []
  const synced = watchPods(dependencies, signal, (conflict) => {
    conflicts.push(conflict)
    found.notify()
  })
  const owners = new Map<string, ReportedOwner>()
  await synced
  while (!signal.aborted) {
    for (const conflict of conflicts.splice(0)) await report(dependencies, owners, conflict)
    const now = performance.now()
    for (const [uid, { lastConflictAt }] of owners)
      if (now - lastConflictAt > eventMs) owners.delete(uid)
    const current = [...owners.values()].filter(
      ({ eventAt, lastConflictAt }) => eventAt !== null && now - lastConflictAt <= countMs,
    )
    dependencies.metrics.conflicts(current.length)
    await dependencies.list?.update()
    await found.wait(updateMs, signal)
  }
}

const missingRightFix =
  'add the component pull-failures (Helm: controller.pullFailures=true), or set conflicts to ignore'

function watchPods(
  { watch, log }: ConflictsDependencies,
  signal: AbortSignal,
  onConflict: (conflict: ImageConflict) => void,
): Promise<void> {
  const detector = createConflictDetector()
  const { synced } = watch.follow<RewrittenPod>({
    loop: 'image-conflicts',
    transform: readRewrittenPod,
    onChange: (pod, before) => {
      const now = performance.now()
      if (before !== null && before.uid !== pod?.uid) detector.remove(before.uid, now)
      const conflict = pod === null ? null : detector.observe(pod, now)
      if (conflict !== null) onConflict(conflict)
    },
    log,
    missingRightFix,
    signal,
  })
  return synced
}

async function report(
  { api, list, log }: ConflictsDependencies,
  owners: Map<string, ReportedOwner>,
  conflict: ImageConflict,
): Promise<void> {
  const { namespace, owner, change } = conflict
  const { apiVersion, kind, name, uid } = owner
  const now = performance.now()
  const fields = { namespace, owner: `${groupKind(apiVersion, kind)}/${name}`, ...change }
  try {
    const generation = await readGeneration(api, conflict)
    const known = owners.get(uid) ?? { lastConflictAt: now, eventAt: null, generation: null }
    // Scaling or updating a StatefulSet changes its generation.
    const isConfirmed = generation === null || generation === known.generation
    owners.set(uid, { ...known, lastConflictAt: now, generation })
    if (!isConfirmed) return
    // Also after the Event: the list may have been refused, or was too slow for one more replacement.
    const isLeft = (await list?.add(conflict)) === true
    if (known.eventAt !== null && now - known.eventAt < eventMs) return
    const event = {
      type: 'Warning',
      reason: 'ImageConflict',
      message: messageOf(conflict, isLeft),
    } as const
    await recordEventOnce(api, { apiVersion, kind, namespace, name, uid }, event, new Date())
    owners.set(uid, { lastConflictAt: now, eventAt: now, generation })
    log.warn({ ...fields, row: rowToLeave(conflict) }, 'owner recreates pods with changed images')
  } catch (error) {
    log.debug({ ...fields, problem: String(error) }, 'image conflict not reported')
  }
}

/** Returns the generation of a StatefulSet or DaemonSet; null for other owners, which Berth has no right to read. */
async function readGeneration(
  api: KubeApi,
  { namespace, owner }: ImageConflict,
): Promise<number | null> {
  const { apiVersion, kind, name } = owner
  const resource = ({ StatefulSet: 'statefulsets', DaemonSet: 'daemonsets' } as const)[
    kind as 'StatefulSet'
  ]
  if (!apiVersion.startsWith('apps/') || resource === undefined) return null
  const found = await api.get<KubeObject & { readonly metadata: { readonly generation?: number } }>(
    { apiVersion, resource, namespace, name },
    { metadataOnly: true },
  )
  return found?.metadata.generation ?? 0
}

/** Contains nothing that changes between two replacements, so that the Event stays the same. */
function messageOf(conflict: ImageConflict, isLeft: boolean): string {
  const { from, to, site } = conflict.change
  const problem = `recreates a pod again and again because Berth changes its image (${site}: ${from} became ${to})`
  const forNow = isLeft ? ' Berth leaves its images unchanged for seven days.' : ''
  return `${problem}.${forNow} To leave its images unchanged, put this row first in \`fallback\`: ${rowToLeave(conflict)}`
}
