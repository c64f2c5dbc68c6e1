/** The load of the soak test: many different pods over a few connections. Every response is checked. */
import { readFileSync } from 'node:fs'
import { faultOf } from './check-response.ts'
import { type Answer, type Connection, openConnection, requestBytes } from './connection.ts'
import { benchUid, makeReview } from './reviews.ts'

export interface SoakLoad {
  counts(): {
    readonly answered: number
    readonly rewritten: number
    readonly errors: number
    readonly firstError: string | null
  }
  isDone(): boolean
  readonly done: Promise<void>
  close(): void
}

export interface SoakLoadOptions {
  readonly port: number
  readonly caFile: string
  readonly connections: number
  readonly reviews: number
}

/** The number of different reviews, sent in turn. With three images each, they exceed the cache between two rewrites. */
const variants = 2_000

/** The number of images of each review. */
export const imagesEach = 3

/** Starts the load. A broken connection counts as an error and is reopened, as an API server does. */
export async function startSoakLoad(options: SoakLoadOptions): Promise<SoakLoad> {
  const { port, connections: count, reviews } = options
  const ca = readFileSync(options.caFile, 'utf8')
  const requests = soakRequests(port)
  const open: Connection[] = []
  let sent = 0
  let answered = 0
  let rewritten = 0
  let errors = 0
  let firstError: string | null = null
  let closed = false
  const { promise: done, resolve: finish } = Promise.withResolvers<void>()
  const fail = (reason: string) => {
    errors++
    firstError ??= reason
  }
  const take = (answer: Answer) => {
    answered++
    const text = answer.body()
    const fault = answer.status === 200 ? admissionFault(text) : `not 200: ${text}`
    if (fault !== null) fail(fault)
    else if (faultOf(text, benchUid, imagesEach) === null) rewritten++
    if (answered + errors >= reviews) finish()
  }
  const start = async (): Promise<void> => {
    const connection: Connection = await openConnection(
      { port, ca },
      {
        onAnswer: (answer) => {
          take(answer)
          next()
        },
        onEnd: (reason) => {
          if (closed) return
          fail(reason)
          start().catch((error: unknown) => fail(String(error)))
        },
      },
    )
    open.push(connection)
    const next = () => {
      if (sent < reviews) connection.send(requests[sent++ % variants] ?? Buffer.alloc(0))
    }
    next()
  }
  for (let index = 0; index < count; index++) await start()
  return {
    done,
    counts: () => ({ answered, rewritten, errors, firstError }),
    isDone: () => answered + errors >= reviews,
    close: () => {
      closed = true
      for (const connection of open) connection.close()
    },
  }
}

/** Every pod must be admitted, even if the registry fails. */
function admissionFault(text: string): string | null {
  const { response } = JSON.parse(text) as { response: { uid: string; allowed: boolean } }
  return response.allowed && response.uid === benchUid ? null : `not admitted: ${text}`
}

/** Returns the reviews as requests: different pods, three images each. */
export function soakRequests(port: number): Buffer[] {
  const template = makeReview('', imagesEach, 0).body.toString()
  return Array.from({ length: variants }, (_, variant) =>
    requestBytes(port, Buffer.from(template.replaceAll('/service-', `/v${variant}-service-`))),
  )
}
