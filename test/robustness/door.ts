/** The HTTPS door before the subject: listening or not, as the test likes. */
import type { FastifyInstance } from 'fastify'
import type { Admit } from '../../src/webhook/admission/admit.ts'
import { createApp } from '../../src/webhook/server/app.ts'
import { createConcurrencyLimit } from '../../src/webhook/server/concurrency-limit.ts'
import { makeCertificates } from '../../src/webhook/certificate/self-signed.ts'
import { createMetrics } from '../../src/telemetry/webhook-metrics.ts'
import { createSubject, knownHosts } from './subject.ts'

export interface Door {
  readonly app: FastifyInstance
  readonly ca: string
  readonly bugs: unknown[]
  /** What was taken on and is not done with. */
  readonly underWay: { readonly requests: number; readonly bytes: number }
}

const certificates = makeCertificates({ names: ['localhost'], days: 1, now: new Date() })

export async function createDoor(admit?: Admit): Promise<Door> {
  const { ca, leaf } = await certificates
  const subject = createSubject()
  const bugs: unknown[] = []
  const load = createConcurrencyLimit(() => performance.now())
  const underWay = { requests: 0, bytes: 0 }
  const app = await createApp({
    tls: leaf,
    load: {
      ...load,
      begin() {
        const taken = load.begin()
        underWay.requests += taken ? 1 : 0
        return taken
      },
      end() {
        load.end()
        underWay.requests -= 1
      },
      reserve(more) {
        const taken = load.reserve(more)
        underWay.bytes += taken ? more : 0
        return taken
      },
      release(less) {
        load.release(less)
        underWay.bytes -= less
      },
    },
    metrics: createMetrics({ knows: (host) => knownHosts.has(host), circuits: () => new Map() }),
    log: () => undefined,
    onBug: (error) => bugs.push(error),
    admit: async (request, options) => {
      const admission = await (admit ?? subject.admit)(request, options)
      bugs.push(...subject.bugs.splice(0))
      return admission
    },
  })
  return { app, ca: ca.cert, bugs, underWay }
}
