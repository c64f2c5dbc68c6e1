/**
 * The load generator, a process of its own: keeps a number of connections busy with one review each, checks the answers,
 * and prints what it measured as JSON. Closed loop: each connection sends again when its answer is there, as an API
 * server's request does not go on without it.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, openConnection, requestBytes } from './lib/connection.ts'
import { faultOf } from './lib/check-answer.ts'
import { percentile } from './lib/numbers.ts'
import { coreBusySeconds, cpuSeconds, residentBytes } from './lib/process.ts'

export interface LoadOptions {
  readonly port: number
  readonly ca: string
  readonly bodyFile: string
  /** How many images of the review the answer has to rewrite. */
  readonly images: number
  readonly connections: number
  readonly warmMs: number
  readonly measureMs: number
  /** The process that is measured, and the core that it is pinned to. */
  readonly pid: number
  readonly core: number
}

export interface LoadResult {
  readonly answers: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** CPU time of the server for each review, in microseconds. */
  readonly cpuMicros: number
  readonly maxResidentBytes: number
  /** Share of its own core that the generator used: near 1 it would be what is measured. */
  readonly generatorLoad: number
  /** Share of the server's core that other processes took. */
  readonly disturbance: number
}

/** Answers that are looked into: one in so many, and the first of each connection. */
const sampleEvery = 500

/** No run gives more latencies than this; further ones are counted, not kept. */
const maxLatencies = 2_000_000

const memoryEveryMs = 50

async function main(options: LoadOptions): Promise<LoadResult> {
  const { port, ca, bodyFile, connections: count, pid, core } = options
  const body = readFileSync(bodyFile)
  const { uid } = (JSON.parse(body.toString()) as { request: { uid: string } }).request
  const request = requestBytes(port, body)
  const latencies = new Float64Array(maxLatencies)
  let answers = 0
  let running = true
  const fail = (reason: string) => {
    throw new Error(`${reason}; connections: ${count}, review: ${bodyFile}`)
  }
  const connections: Connection[] = []
  const authority = readFileSync(ca, 'utf8')
  for (let index = 0; index < count; index++) {
    let sentAt = 0
    let seen = 0
    const connection: Connection = await openConnection(
      { port, ca: authority },
      {
        onEnd: (reason) => void (running && fail(reason)),
        onAnswer: (answer) => {
          const now = performance.now()
          if (answers < maxLatencies) latencies[answers] = now - sentAt
          answers++
          if (!answer.ok) fail(`an answer that is not 200: ${answer.body()}`)
          if (seen++ % sampleEvery === 0) {
            const fault = faultOf(answer.body(), uid, options.images)
            if (fault !== null) fail(`a wrong answer: ${fault}`)
          }
          if (running) send()
        },
      },
    )
    const send = () => {
      sentAt = performance.now()
      connection.send(request)
    }
    connections.push({ ...connection, send })
  }
  for (const connection of connections) connection.send(request)
  await sleep(options.warmMs)
  answers = 0
  const before = look(pid, core)
  let maxResidentBytes = 0
  const memory = setInterval(
    () => (maxResidentBytes = Math.max(maxResidentBytes, residentBytes(pid))),
    memoryEveryMs,
  )
  await sleep(options.measureMs)
  const after = look(pid, core)
  const measured = answers
  clearInterval(memory)
  running = false
  for (const connection of connections) connection.close()
  const seconds = after.at - before.at
  const sorted = latencies.subarray(0, Math.min(measured, maxLatencies)).sort()
  const cpu = after.cpu - before.cpu
  return {
    answers: measured,
    perSecond: measured / seconds,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    cpuMicros: (cpu / measured) * 1e6,
    maxResidentBytes,
    generatorLoad: (after.own - before.own) / seconds,
    disturbance: Math.max(0, after.busy - before.busy - cpu) / seconds,
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
