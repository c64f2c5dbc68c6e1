/** The audit log of the API server. */
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { currentCluster } from './cluster.ts'
import { kubectlOk } from './kubectl.ts'
import { waitFor } from './wait.ts'

/** The fields of an audit event that the scenarios read. Only events of pods have bodies. */
export type AuditEvent = {
  auditID: string
  verb: string
  stage: string
  requestURI: string
  requestReceivedTimestamp: string
  user: { username: string }
  sourceIPs: string[]
  objectRef?: {
    resource: string
    apiGroup?: string
    namespace?: string
    name?: string
    subresource?: string
  }
  responseStatus?: { code: number }
  requestObject?: unknown
  responseObject?: unknown
  annotations?: Record<string, string>
}

const events: AuditEvent[] = []
const file = currentCluster().auditLog
// Events from before this scenario file was loaded are another scenario's.
let offset = statSync(file).size

/**
 * Returns the matching audit events since this module was loaded, oldest first. The API server writes an event after its
 * response, so wait for the event that you need, or use `settledAuditEvents`.
 */
export function auditEvents(matches: (event: AuditEvent) => boolean = () => true): AuditEvent[] {
  readNewEvents()
  return events.filter(matches)
}

/** Returns the matching audit events after every request that was answered before this call is in the log. */
export async function settledAuditEvents(
  matches: (event: AuditEvent) => boolean,
): Promise<AuditEvent[]> {
  const marker = `/version?marker=${Date.now()}-${Math.random()}`
  await kubectlOk(['get', '--raw', marker])
  await waitFor('the audit log', () => {
    readNewEvents()
    return events.some(({ requestURI }) => requestURI === marker)
  })
  return events.filter(matches)
}

/** Reads complete lines only: what follows the last line break is still being written. */
function readNewEvents(): void {
  const bytes = Buffer.alloc(Math.max(0, statSync(file).size - offset))
  const descriptor = openSync(file, 'r')
  readSync(descriptor, bytes, 0, bytes.length, offset)
  closeSync(descriptor)
  const end = bytes.lastIndexOf('\n') + 1
  offset += end
  const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1)
  for (const line of lines) events.push(JSON.parse(line) as AuditEvent)
}
