/** The HTTPS server in front of the test subject. It does not listen until a test asks for it. */
import { createLane } from '../../src/async/lane.ts'
import type { Admit } from '../../src/webhook/admission/admit.ts'
import { type App, createApp } from '../../src/webhook/server/app.ts'
import {
  type ConcurrencyLimit,
  createConcurrencyLimit,
} from '../../src/webhook/server/concurrency-limit.ts'
import { makeCertificates } from '../../src/webhook/certificate/self-signed.ts'
import { createWebhookMetrics } from '../../src/telemetry/webhook-metrics.ts'
import { createSubject, knownHosts } from './subject.ts'

export interface TestServer {
  readonly app: App
  readonly ca: string
  readonly bugs: unknown[]
  /** What the concurrency limit counts at the moment. */
  inFlight(): ReturnType<ConcurrencyLimit['inFlight']>
}

const certificates = makeCertificates({ names: ['localhost'], days: 1, now: new Date() })

export async function createTestServer(admit?: Admit): Promise<TestServer> {
  const { ca, leaf } = await certificates
  const subject = createSubject()
  const bugs: unknown[] = []
  const limit = createConcurrencyLimit(() => performance.now())
  const app = await createApp({
    tls: leaf,
    limit,
    metrics: createWebhookMetrics({
      isListed: (host) => knownHosts.has(host),
      circuits: () => new Map(),
      droppedLogLines: () => 0,
    }),
    log: () => undefined,
    lane: createLane(),
    onBug: (error) => bugs.push(error),
    admit: async (request, options) => {
      const admission = await (admit ?? subject.admit)(request, options)
      bugs.push(...subject.bugs.splice(0))
      return admission
    },
  })
  return { app, ca: ca.cert, bugs, inFlight: () => limit.inFlight() }
}
