/** The HTTPS door before the subject: listening or not, as the test likes. */
import type { FastifyInstance } from 'fastify'
import type { Admit } from '../../src/admission/handler.ts'
import { createApp } from '../../src/server/app.ts'
import { createLoad } from '../../src/server/load.ts'
import { makeCertificates } from '../../src/server/tls.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
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
  const load = createLoad(() => performance.now())
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
      grow(more) {
        const taken = load.grow(more)
        underWay.bytes += taken ? more : 0
        return taken
      },
      shrink(less) {
        load.shrink(less)
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
