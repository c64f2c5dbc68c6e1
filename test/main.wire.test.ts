import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Agent, request } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { freePorts } from '../e2e/harness/ports.ts'
import { berth } from './support/io.ts'
import { podOf, reviewOf } from './support/reviews.ts'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'berth-main-'))
const config = join(directory, 'berth.yaml')
const certificates = join(directory, 'certs')
const full = openSync('/dev/full', 'w')
const started: ChildProcess[] = []

beforeAll(async () => {
  writeFileSync(config, 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n')
  await berth(['certs', '--out', certificates, '--names', 'localhost'])
})

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
})

afterAll(() => {
  closeSync(full)
  rmSync(directory, { recursive: true })
})

function start(args: readonly string[], stdio: StdioOptions): ChildProcess {
  const child = spawn(process.execPath, [main, ...args], { stdio })
  started.push(child)
  return child
}

async function exitCodeOf(child: ChildProcess): Promise<unknown> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return code ?? signal
}

describe('a command', () => {
  it('ends quietly when the reader of its output has gone', async () => {
    const child = start(['check', '--config', config], ['ignore', 'pipe', 'pipe'])
    child.stdout?.destroy()
    const [code, stderr] = await Promise.all([
      exitCodeOf(child),
      child.stderr === null ? '' : text(child.stderr),
    ])

    expect([code, stderr]).toEqual([0, ''])
  })

  it('fails with a message when its output cannot be written', async () => {
    const child = start(['check', '--config', config], ['ignore', full, 'pipe'])
    const [code, stderr] = await Promise.all([
      exitCodeOf(child),
      child.stderr === null ? '' : text(child.stderr),
    ])

    expect(code).toBe(74)
    expect(stderr).toMatch(/^berth: cannot write to standard output: ENOSPC: .*\n$/)
  })

  it.each(['is a full disk', 'has gone'])(
    'keeps its exit code when standard error %s',
    async (state) => {
      const stderr = state === 'has gone' ? 'pipe' : full
      const child = start(['check', '--config', '/nowhere'], ['ignore', 'pipe', stderr])
      child.stderr?.destroy()

      expect(await exitCodeOf(child)).toBe(2)
    },
  )
})

const serveOn = (port: number, metricsPort: number) =>
  `serve --config ${config} --host 127.0.0.1 --drain-seconds 0 --port ${port} --metrics-port ${metricsPort} --tls-cert ${certificates}/tls.crt --tls-key ${certificates}/tls.key`.split(
    ' ',
  )

const isReady = (port: number) =>
  fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )

describe('berth serve', () => {
  it.each(['is a full disk', 'has gone', 'does not read'])(
    'answers, counts lost log lines, and stops with 0 when standard error %s',
    async (state) => {
      const [port = 0, metricsPort = 0] = await freePorts(2)
      const child = start(serveOn(port, metricsPort), [
        'ignore',
        'ignore',
        state === 'is a full disk' ? full : 'pipe',
      ])
      if (state === 'has gone') child.stderr?.destroy()
      await expect.poll(() => isReady(metricsPort), { timeout: 20_000 }).toBe(true)
      const ca = readFileSync(join(certificates, 'ca.crt'), 'utf8')
      const agent = new Agent({ connections: 16, connect: { ca } })
      // Each line of the log has about 12 kB.
      const body = JSON.stringify(
        reviewOf(podOf(Array.from({ length: 60 }, (_, index) => `quay.io/team/app-${index}:1`))),
      )
      const review = () =>
        request(`https://localhost:${port}/mutate`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
          dispatcher: agent,
        }).then(async ({ statusCode, body: answer }) => {
          await answer.dump()
          return statusCode
        })
      const statuses: number[] = []
      for (let round = 0; round < 25; round++)
        statuses.push(...(await Promise.all(Array.from({ length: 32 }, review))))
      await agent.close()
      const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
      const [, dropped = ''] = /^berth_log_lines_dropped_total (\d+)$/m.exec(metrics) ?? []
      const ended = exitCodeOf(child)
      child.kill('SIGTERM')

      expect(new Set(statuses)).toEqual(new Set([200]))
      expect(Number(dropped)).toBeGreaterThan(0)
      expect(await ended).toBe(0)
    },
  )
})
