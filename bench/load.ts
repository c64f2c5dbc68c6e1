/**
 * The load generator, a separate process. Keeps a number of connections busy with one review each, checks the responses,
 * and prints its measurements as JSON. It is a closed loop: like an API server, each connection waits for the response
 * before it sends the next review.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, openConnection, requestBytes } from './lib/connection.ts'
import { faultOf } from './lib/check-response.ts'
import { percentile } from './lib/numbers.ts'
import { createVariation } from './lib/variation.ts'
import { coreBusySeconds, cpuSeconds, residentBytes } from './lib/process.ts'

export interface LoadOptions {
  readonly port: number
  readonly ca: string
  readonly bodyFile: string
  /** Whether all reviews are for pods of one controller. */
  readonly hasOneController: boolean
  /** The number of images that the response must rewrite. */
  readonly images: number
  readonly path?: string | undefined
  readonly mirror?: string | undefined
  readonly connections: number
  readonly warmMs: number
  readonly measureMs: number
  /** The measured process, and the core that it is pinned to. */
  readonly pid: number
  readonly core: number
}

export interface LoadResult {
  readonly answers: number
  /** Responses with 503, for load that the server shed. Not counted as responses. */
  readonly refused: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** CPU time of the server per review, in microseconds. */
  readonly cpuMicros: number
  readonly maxResidentBytes: number
  /** Share of its core that the load generator used. Near 1, the generator is the bottleneck. */
  readonly generatorLoad: number
  /** Share of the server's core that other processes used. */
  readonly disturbance: number
}

/** One in this many responses is parsed and checked, and the first one of each connection. */
const sampleEvery = 500

/** The number of latencies that are stored. More are counted, but not stored. */
const maxLatencies = 2_000_000

const memoryEveryMs = 50

/** Pause of a client after a 503. */
const afterRefusalMs = 20

interface Tally {
  answers: number
  refused: number
  readonly latencies: Float64Array
}

async function main(options: LoadOptions): Promise<LoadResult> {
  const { pid, core } = options
  const tally: Tally = { answers: 0, refused: 0, latencies: new Float64Array(maxLatencies) }
  const loop = await startLoop(options, tally)
  await sleep(options.warmMs)
  tally.answers = 0
  tally.refused = 0
  const before = look(pid, core)
  let maxResidentBytes = 0
  const memory = setInterval(
    () => (maxResidentBytes = Math.max(maxResidentBytes, residentBytes(pid))),
    memoryEveryMs,
  )
  await sleep(options.measureMs)
  const after = look(pid, core)
  const { answers, refused, latencies } = tally
  clearInterval(memory)
  loop.stop()
  const seconds = after.at - before.at
  const sorted = latencies.subarray(0, Math.min(answers, maxLatencies)).sort()
  const cpu = after.cpu - before.cpu
  return {
    answers,
    refused,
    perSecond: answers / seconds,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    cpuMicros: (cpu / answers) * 1e6,
    maxResidentBytes,
    generatorLoad: (after.own - before.own) / seconds,
    disturbance: Math.max(0, after.busy - before.busy - cpu) / seconds,
  }
}

/** Sends the next review on this connection. */
interface Sender {
  send(): void
  close(): void
}

/** Opens the connections one after the other, then sends on all of them. */
async function startLoop(options: LoadOptions, tally: Tally): Promise<{ stop(): void }> {
  const { port, bodyFile, connections: count } = options
  const body = readFileSync(bodyFile)
  const ca = readFileSync(options.ca, 'utf8')
  const connections = new Set<Sender>()
  let running = true
  const fail = (reason: string) => {
    throw new Error(`${reason}; connections: ${count}, review: ${bodyFile}`)
  }
  for (let index = 0; index < count; index++) await open()
  for (const connection of connections) connection.send()
  return {
    stop: () => {
      running = false
      for (const connection of connections) connection.close()
    },
  }

  async function open(): Promise<Sender> {
    const request = requestBytes(port, body, options.path)
    const vary = createVariation(request, options.hasOneController)
    let uid = ''
    let sentAt = 0
    let seen = 0
    const onAnswer = (answer: Answer) => {
      if (!running) return
      if (answer.status === 503) return refuse()
      const now = performance.now()
      tally.latencies[tally.answers++] = now - sentAt
      if (answer.status !== 200) fail(`${answer.status}: ${answer.body()}`)
      if (seen++ % sampleEvery === 0) {
        const fault = faultOf(answer.body(), uid, options.images, options.mirror)
        if (fault !== null) fail(`wrong response: ${fault}`)
      }
      connection.send()
    }
    const onEnd = (reason: string) => {
      if (running && connections.has(connection)) fail(reason)
    }
    const raw = await openConnection({ port, ca }, { onAnswer, onEnd })
    const connection: Sender = {
      close: () => raw.close(),
      send: () => {
        uid = vary()
        sentAt = performance.now()
        raw.send(request)
      },
    }
    connections.add(connection)
    return connection

    /** The server shed this review. The connection is closed, because the server may have read only half of the request. */
    function refuse(): void {
      tally.refused++
      connections.delete(connection)
      raw.close()
      const again = async () => {
        await sleep(afterRefusalMs)
        if (running) (await open()).send()
      }
      again().catch((error: unknown) => fail(String(error)))
    }
  }
}

function look(pid: number, core: number) {
  const { user, system } = process.cpuUsage()
  return {
    at: performance.now() / 1000,
    cpu: cpuSeconds(pid),
    busy: coreBusySeconds(core),
    own: (user + system) / 1e6,
  }
}

const result = await main(JSON.parse(process.argv[2] ?? '{}') as LoadOptions)
process.stdout.write(JSON.stringify(result), () => process.exit(0))
