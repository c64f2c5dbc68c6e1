import { readFileSync } from 'node:fs'
import { currentCluster } from './cluster.ts'

/** What the scenarios look at in an audit event. Bodies are there for pods alone. */
export type AuditEvent = {
  auditID: string
  verb: string
  stage: string
  requestURI: string
  user: { username: string }
  objectRef?: { resource: string; namespace?: string; name?: string; subresource?: string }
  responseStatus?: { code: number }
  requestObject?: unknown
  responseObject?: unknown
  annotations?: Record<string, string>
}

/** The API server's audit events so far that match, oldest first. Wait for the one you need with `waitFor`. */
export function auditEvents(matches: (event: AuditEvent) => boolean = () => true): AuditEvent[] {
  const { auditLog, provider } = currentCluster()
  if (auditLog === null) throw new Error(`the ${provider} provider has no audit log`)
  // What follows the last line break is an event that is still being written.
  const complete = readFileSync(auditLog, 'utf8').split('\n').slice(0, -1)
  return complete.map((line) => JSON.parse(line) as AuditEvent).filter(matches)
}
