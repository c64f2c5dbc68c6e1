/** Attacks on `berth serve` with the memory that deploy/ gives it: half of 384 MiB for the heap. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent, request } from 'undici'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePorts } from '../../e2e/harness/ports.ts'
import {
  type HostileTarget,
  largeValues,
  openMany,
  sendBody,
  sendUnfinished,
} from '../support/hostile-requests.ts'
import { berth } from '../support/io.ts'
import { podOf, reviewOf } from '../support/reviews.ts'

const mebibyte = 1024 * 1024
const heap = ['--max-old-space-size=192', '--max-semi-space-size=4']
const main = new URL('../../src/main.ts', import.meta.url).pathname

let directory: string
let child: ChildProcess
let neighbour: HostileTarget

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'berth-attacks-'))
  await berth(['certs', '--out', join(directory, 'certs'), '--names', 'localhost'])
  const [port = 0, metricsPort = 0] = await freePorts(2)
  const config = join(directory, 'berth.yaml')
  writeFileSync(
    config,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
fallback: [{ name: all, images: ['**'], try: ['m.example/{path}'] }]
`,
  )
  const options = ['--config', config, '--host', '127.0.0.1', '--port', `${port}`]
  const certs = join(directory, 'certs')
  const tls = ['--tls-cert', join(certs, 'tls.crt'), '--tls-key', join(certs, 'tls.key')]
  const metrics = ['--metrics-port', `${metricsPort}`, '--drain-seconds', '0']
  child = spawn(process.execPath, [...heap, main, 'serve', ...options, ...tls, ...metrics], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  neighbour = { port, ca: readFileSync(join(certs, 'ca.crt'), 'utf8'), from: '127.0.0.2' }
  await expect.poll(() => reviewOnNewConnection().catch(String), { timeout: 60_000 }).toBe(200)
})

afterEach(async () => {
  const ended = once(child, 'exit')
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL')
    await ended
  }
  rmSync(directory, { recursive: true })
})

/** Sends a review as an API server does that has no connection yet. */
async function reviewOnNewConnection(): Promise<number> {
  const dispatcher = new Agent({ connect: { ca: neighbour.ca, timeout: 10_000 } })
  try {
    const { statusCode, body } = await request(`https://localhost:${neighbour.port}/mutate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(reviewOf(podOf(['app:1']))),
      dispatcher,
    })
    await body.dump()
    return statusCode
  } finally {
    await dispatcher.destroy()
  }
}

/** The most memory that the process has had. */
function peakBytes(): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

describe('berth serve with 384 MiB', () => {
  it('answers an API server while a neighbour opens and keeps many connections', async () => {
    const opening = openMany(neighbour, 1_200)
    expect(await reviewOnNewConnection()).toBe(200)
    const sockets = await opening
    const statuses = [await reviewOnNewConnection(), await reviewOnNewConnection()]
    for (const socket of sockets) socket.destroy()

    expect(statuses).toEqual([200, 200])
    expect(peakBytes()).toBeLessThan(384 * mebibyte)
  }, 120_000)

  it('answers an API server while a neighbour sends many bodies and ends none', async () => {
    const sockets = await openMany(neighbour, 760)
    for (const socket of sockets) sendUnfinished(socket, 60_000)
    const statuses = [await reviewOnNewConnection(), await reviewOnNewConnection()]
    for (const socket of sockets) socket.destroy()

    expect(statuses).toEqual([200, 200])
    expect(peakBytes()).toBeLessThan(384 * mebibyte)
  }, 120_000)

  it.each(Object.keys(largeValues))(
    'refuses 8 MiB of %s',
    async (name) => {
      const bodies = Array.from({ length: 3 }, () => largeValues[name] as Buffer)
      const statuses = await Promise.all(bodies.map((body) => sendBody(neighbour, body)))

      expect([400, 413]).toEqual(expect.arrayContaining([...new Set(statuses)]))
      expect(await reviewOnNewConnection()).toBe(200)
      expect(peakBytes()).toBeLessThan(384 * mebibyte)
    },
    60_000,
  )
})
