/** Records Kubernetes Events about objects. */
import { createHash } from 'node:crypto'
import type { Logger } from '../telemetry/log.ts'
import { escapeTerminal } from '../text/escape-terminal.ts'
import type { KubeApi } from './api-client.ts'
import { hasStatus } from './error.ts'

/** The object that an Event is about. `kubectl describe` shows the Event only if it has the UID. */
export interface InvolvedObject {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** Left out for an object that does not exist or was not read. */
  readonly uid?: string | undefined
}

interface EventContent {
  readonly type: 'Normal' | 'Warning'
  /** One word in CamelCase, to filter by. */
  readonly reason: string
  readonly message: string
}

export interface WarningContent {
  readonly reason: string
  /** Cut so that `ending` fits after it. */
  readonly message: string
  readonly ending: string
}

/** The longest message that the API server accepts (core validation/events.go, NoteLengthLimit). */
const maxMessage = 1_024

/**
 * Records an Event unless the same one exists: its name is a hash of its content, and the API server keeps it for an hour
 * (--event-ttl). Throws KubeError without the right to create Events.
 */
export async function recordEventOnce(
  api: Pick<KubeApi, 'create'>,
  involvedObject: InvolvedObject,
  { type, reason, message }: EventContent,
  now: Date,
): Promise<void> {
  const { namespace, name, uid = '' } = involvedObject
  const digest = createHash('sha256').update(`${uid}/${reason}/${message}`).digest('hex')
  // A name has at most 253 characters, and its parts end with a letter or digit; 16 digits distinguish the Events of an hour.
  const eventName = `${name.slice(0, 230).replace(/[^a-z0-9]+$/, '')}.${digest.slice(0, 16)}`
  const content = { type, reason, message: escapeTerminal(message, '\n').slice(0, maxMessage) }
  try {
    await api.create(
      { apiVersion: 'v1', resource: 'events', namespace },
      {
        ...createEvent(involvedObject, content, now),
        metadata: { name: eventName, namespace },
      },
      { maxRetries: 1 },
    )
  } catch (error) {
    // The same Event exists.
    if (!hasStatus(error, 409)) throw error
  }
}

/** Records a Warning each time it is called, which needs only the right to create Events. Logs a failure and never throws. */
export async function recordWarning(
  api: Pick<KubeApi, 'create'>,
  involvedObject: InvolvedObject,
  { reason, message, ending }: WarningContent,
  { now, log }: { readonly now: Date; readonly log: Pick<Logger, 'debug'> },
): Promise<void> {
  const { namespace, name } = involvedObject
  // Leaves room for a semicolon, a space and an ellipsis.
  const maxStart = maxMessage - ending.length - 3
  const text = escapeTerminal(message, '\n')
  const start = text.length > maxStart ? `${text.slice(0, maxStart)}…` : text
  const content = { type: 'Warning', reason, message: `${start}; ${ending}` } as const
  try {
    await api.create(
      { apiVersion: 'v1', resource: 'events', namespace },
      {
        ...createEvent(involvedObject, content, now),
        metadata: { generateName: `${name.slice(0, 200)}.`, namespace },
      },
    )
  } catch (error) {
    log.debug({ object: name, problem: String(error) }, 'event not recorded')
  }
}

/** An Event without metadata. */
function createEvent(involvedObject: InvolvedObject, content: EventContent, now: Date) {
  const time = now.toISOString().replace(/\.[0-9]+Z$/, 'Z')
  return {
    apiVersion: 'v1',
    kind: 'Event',
    involvedObject,
    ...content,
    source: { component: 'berth-controller' },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  }
}
