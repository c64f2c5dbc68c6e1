/** Refuses what is too much, before it takes memory; see load.ts for how much that is. */
import { Transform } from 'node:stream'
import type { FastifyInstance, FastifyRequest, RequestPayload } from 'fastify'
import { largeBytes, type Load } from './load.ts'

export interface Shedding {
  readonly load: Load
  /** True while the process is leaving: callers are asked to come back on another connection. */
  readonly draining: () => boolean
  readonly onShed: () => void
}

/** Takes each request on or sheds it with 503, and counts large bodies while they arrive. */
export function shedLoad(app: FastifyInstance, { load, draining, onShed }: Shedding): void {
  app.addHook('onRequest', (_, reply, done) => {
    if (draining()) reply.header('connection', 'close')
    if (load.begin()) {
      // Comes once for every request, answered or not.
      reply.raw.once('close', () => load.end())
      return done()
    }
    onShed()
    reply.code(503).type('text/plain; charset=utf-8').send('too many reviews are under way\n')
  })
  app.addHook('preParsing', (request, reply, payload, done) => {
    if (!isLarge(request)) return done(null, payload)
    const counted = count(payload, load)
    reply.raw.once('close', () => load.shrink(counted.taken()))
    done(null, counted.stream)
  })
}

/** A sender that does not say how much is coming may send much. */
function isLarge({ headers }: FastifyRequest): boolean {
  const announced = Number(headers['content-length'] ?? Infinity)
  return !(announced <= largeBytes)
}

function count(
  payload: RequestPayload,
  load: Load,
): { readonly stream: RequestPayload; taken(): number } {
  let taken = 0
  const stream: Transform & { receivedEncodedLength?: number } = new Transform({
    transform(chunk: Buffer, _, done) {
      if (!load.grow(chunk.length)) {
        // Given back at once, so that others which have come as far can be finished.
        load.shrink(taken)
        taken = 0
        return done(Object.assign(new Error('too many bytes under way'), { statusCode: 503 }))
      }
      taken += chunk.length
      // What fastify compares with the announced length.
      stream.receivedEncodedLength = taken
      done(null, chunk)
    },
  })
  payload.on('error', (error) => stream.destroy(error))
  payload.pipe(stream)
  return { stream, taken: () => taken }
}
