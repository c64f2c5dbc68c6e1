import { createHash } from 'node:crypto'
import type { KubeApi } from './api.ts'
import { hasStatus } from './error.ts'
import type { Where } from './object.ts'

export interface EventAbout {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

/** What events.k8s.io takes (core validation/events.go, NoteLengthLimit). */
const maxMessage = 1_024

/**
 * Tells of something by an Event, once: its name is made of what it says, so that one with the same words is not written
 * again while the API server remembers it (an hour, --event-ttl). False when it was there. Throws KubeError without the
 * rights to get and to create.
 */
export async function tell(
  api: Pick<KubeApi, 'get' | 'create'>,
  about: EventAbout,
  {
    type,
    reason,
    message,
  }: { readonly type: 'Normal' | 'Warning'; readonly reason: string; readonly message: string },
  now: Date,
): Promise<boolean> {
  const { namespace, name, uid } = about
  const time = now.toISOString().replace(/\.[0-9]+Z$/, 'Z')
  const digest = createHash('sha256').update(`${uid}/${reason}/${message}`).digest('hex')
  // A name has 253 characters at the most; 16 digits tell an hour's Events apart.
  const own = `${name.slice(0, 230)}.${digest.slice(0, 16)}`
  const events: Where = { apiVersion: 'v1', resource: 'events', namespace }
  if ((await api.get({ ...events, name: own }, { metadataOnly: true })) !== null) return false
  try {
    await api.create(events, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: own, namespace },
      involvedObject: about,
      type,
      reason,
      message: message.slice(0, maxMessage),
      source: { component: 'berth-controller' },
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    })
  } catch (error) {
    if (!hasStatus(error, 409)) throw error
  }
  return true
}
