import { createHash } from 'node:crypto'
import type { Logger } from '../telemetry/log.ts'
import type { KubeApi } from './api-client.ts'
import { hasStatus } from './error.ts'
import type { ResourceRef } from './object.ts'

/** The uid of what is not there, or not known, is left out; with it `kubectl describe` shows the Event. */
type Named = Omit<EventAbout, 'uid'> & { readonly uid?: string | undefined }

export interface EventAbout {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

interface Saying {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export interface Warning {
  /** One word in CamelCase, to filter by. */
  readonly reason: string
  /** Cut to what an Event takes; `ending` stands after it whole. */
  readonly message: string
  readonly ending: string
}

/** What events.k8s.io takes (core validation/events.go, NoteLengthLimit). */
const maxMessage = 1_024

/**
 * Tells of something by an Event, once: its name is made of what it says, so that one with the same words is not written
 * again while the API server remembers it (an hour, --event-ttl). False when it was there. Throws KubeError without the
 * rights to get and to create.
 */
export async function recordEventOnce(
  api: Pick<KubeApi, 'get' | 'create'>,
  about: EventAbout,
  { type, reason, message }: Saying,
  now: Date,
): Promise<boolean> {
  const { namespace, name, uid } = about
  const digest = createHash('sha256').update(`${uid}/${reason}/${message}`).digest('hex')
  // A name has 253 characters at the most; 16 digits tell an hour's Events apart.
  const own = `${name.slice(0, 230)}.${digest.slice(0, 16)}`
  const events: ResourceRef = { apiVersion: 'v1', resource: 'events', namespace }
  if ((await api.get({ ...events, name: own }, { metadataOnly: true })) !== null) return false
  try {
    const event = eventOf(about, { type, reason, message: message.slice(0, maxMessage) }, now)
    await api.create(events, { ...event, metadata: { name: own, namespace } })
  } catch (error) {
    if (!hasStatus(error, 409)) throw error
  }
  return true
}

/** Writes a Warning each time that it is called, for which the right to create suffices. Never throws: one that cannot be written is only missed. */
export async function recordWarning(
  api: Pick<KubeApi, 'create'>,
  about: Named,
  { reason, message, ending }: Warning,
  { now, log }: { readonly now: Date; readonly log: Pick<Logger, 'debug'> },
): Promise<void> {
  const { namespace, name } = about
  // A semicolon, a space and an ellipsis.
  const room = maxMessage - ending.length - 3
  const cut = message.length > room ? `${message.slice(0, room)}…` : message
  const event = eventOf(about, { type: 'Warning', reason, message: `${cut}; ${ending}` }, now)
  try {
    await api.create(
      { apiVersion: 'v1', resource: 'events', namespace },
      { ...event, metadata: { generateName: `${name.slice(0, 200)}.`, namespace } },
    )
  } catch (error) {
    log.debug({ about: name, problem: String(error) }, 'an Event was not written')
  }
}

/** All of an Event but its own name. */
function eventOf(about: Named, saying: Saying, now: Date) {
  const time = now.toISOString().replace(/\.[0-9]+Z$/, 'Z')
  return {
    apiVersion: 'v1',
    kind: 'Event',
    involvedObject: about,
    ...saying,
    source: { component: 'berth-controller' },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  }
}
