/** Reads the objects that a diagnosis needs, each once, and tolerates missing permissions. */
import { member } from '../../json/json.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import type { PodEvent } from '../pull-failure.ts'

/** Returns an object: `unreadable` when the caller may not read it, null when it does not exist. `namespace` is empty for a cluster-scoped object. */
export type ObjectReader = (resource: string, namespace: string, name: string) => Promise<unknown>

/** Returns a reader that reads each object once, however many pods name it. */
export function createObjectReader(api: KubeApi): ObjectReader {
  const answers = new Map<string, Promise<unknown>>()
  return (resource, namespace, name) => {
    const key = `${resource} ${namespace}/${name}`
    const answer =
      answers.get(key) ??
      unlessForbidden(
        api.get({
          apiVersion: groupOf(resource),
          resource,
          ...(namespace === '' ? {} : { namespace }),
          name,
        }),
      )
    answers.set(key, answer)
    return answer
  }
}

function groupOf(resource: string): string {
  return resource === 'replicasets' ? 'apps/v1' : resource === 'jobs' ? 'batch/v1' : 'v1'
}

/** Returns `unreadable` for a request that the API server answers with 403. */
export async function unlessForbidden<T>(request: Promise<T>): Promise<T | 'unreadable'> {
  try {
    return await request
  } catch (error) {
    if (hasStatus(error, 403)) return 'unreadable'
    throw error
  }
}

/** Returns the Warning events of pods by the pod's UID, oldest first. Empty when they may not be read: a status alone says most of it. */
export async function readPodEvents(
  api: KubeApi,
  where: { readonly apiVersion: string; readonly namespace?: string },
): Promise<Map<string, PodEvent[]>> {
  const byPod = new Map<string, (PodEvent & { readonly at: string })[]>()
  try {
    const selection = { fieldSelector: 'type=Warning,involvedObject.kind=Pod' }
    for await (const event of api.list<KubeObject>({ ...where, resource: 'events' }, selection)) {
      const uid = member(member(event, 'involvedObject'), 'uid')
      const reason = member(event, 'reason')
      const message = member(event, 'message')
      const last = member(event, 'lastTimestamp') ?? event.metadata.creationTimestamp
      if (typeof uid !== 'string' || typeof reason !== 'string' || typeof message !== 'string')
        continue
      const at = typeof last === 'string' ? last : ''
      byPod.set(uid, [...(byPod.get(uid) ?? []), { reason, message, at }])
    }
  } catch (error) {
    if (!hasStatus(error, 403)) throw error
  }
  for (const events of byPod.values()) events.sort((one, other) => (one.at < other.at ? -1 : 1))
  return byPod
}
