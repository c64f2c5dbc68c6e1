import { createHash } from 'node:crypto'
import type { KubeApi } from './api.ts'
import { hasStatus } from './error.ts'

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
 * Tells of something by an Event, once: its name is made of what it says, so a second one with the same words is not
 * written while the API server remembers the first (an hour, --event-ttl). Throws KubeError without the right to.
 */
export async function tell(
  api: Pick<KubeApi, 'create'>,
  about: EventAbout,
  {
    type,
    reason,
    message,
  }: { readonly type: 'Normal' | 'Warning'; readonly reason: string; readonly message: string },
  now: Date,
): Promise<void> {
  const { namespace, name, uid } = about
  const time = now.toISOString().replace(/\.[0-9]+Z$/, 'Z')
  const digest = createHash('sha256').update(`${uid}/${reason}/${message}`).digest('hex')
  try {
    await api.create(
      { apiVersion: 'v1', resource: 'events', namespace },
      {
        apiVersion: 'v1',
        kind: 'Event',
        // A name has 253 characters at the most; 16 digits tell an hour's Events apart.
        metadata: { name: `${name.slice(0, 230)}.${digest.slice(0, 16)}`, namespace },
        involvedObject: about,
        type,
        reason,
        message: message.slice(0, maxMessage),
        source: { component: 'berth-controller' },
        firstTimestamp: time,
        lastTimestamp: time,
        count: 1,
      },
    )
  } catch (error) {
    if (!hasStatus(error, 409)) throw error
  }
}
