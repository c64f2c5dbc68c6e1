import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePorts } from '../../e2e/harness/ports.ts'
import { berth } from '../support/io.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-reloads-'))

beforeAll(() => berth(['certs', '--out', join(directory, 'certs'), '--names', 'localhost']))

afterAll(() => rmSync(directory, { recursive: true }))

const url = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href)

/**
 * Runs a verb, changes its config several times, and prints how many objects are left that each config or engine has once.
 * The clock runs twenty times as fast for waits of a second or more.
 */
const script = (args: readonly string[], work: string, prepare = '') => `
  setTimeout(() => {
    console.error(lines.slice(-5).join('\\n'))
    process.exit(1)
  }, 100_000)
  const faster = (start) => (run, ms, ...rest) => start(run, ms >= 1_000 ? ms / 20 : ms, ...rest)
  globalThis.setTimeout = faster(setTimeout)
  globalThis.setInterval = faster(setInterval)
  const { queryObjects } = await import('node:v8')
  const { writeFileSync } = await import('node:fs')
  const { setTimeout: sleep } = await import('node:timers/promises')
  const { Agent, request } = await import('undici')
  const { LRUCache } = await import('lru-cache')
  const { run } = await import(${url('src/cli/run.ts')})
  const { startFakeRegistry } = await import(${url('test/support/registry.ts')})
  const { podOf, reviewOf } = await import(${url('test/support/reviews.ts')})
  const registry = await startFakeRegistry()
  registry.addManifest({ repository: 'team/app', tag: '1' })
  const file = ${JSON.stringify(join(directory, 'berth.yaml'))}
  /** Each config has 200 URLs, and each engine two caches. */
  const write = (generation) => writeFileSync(file, \`apiVersion: berth.dev/v1alpha1
kind: BerthConfig
mirror: { running: true }
registries:
\${Array.from({ length: 200 }, (_, index) => \`  - { host: host-\${index}.example, endpoint: '\${registry.url}' }\`).join('\\n')}
pullSecretCopies: { rbac: cluster, copies: [{ name: ours, from: [berth/ours], namespaces: [default] }] }
fallback: [{ name: row-\${generation}, images: ['**'], try: ['host-0.example/{path}'] }]
\`)
  const lines = []
  const line = { write: (text) => { lines.push(...text.trim().split('\\n')) } }
  const waitFor = async (message, count) => {
    while (lines.filter((each) => each.includes(message)).length < count) await sleep(10)
  }
  const counts = () => [queryObjects(URL, { format: 'count' }), queryObjects(LRUCache, { format: 'count' })]
  write(0)
  ${prepare}
  const stop = new AbortController()
  const io = { stdout: line, stderr: line, stdin: process.stdin, env: {}, signal: stop.signal }
  const ended = run(${JSON.stringify(args)}, io)
  ${work}
`

interface Output {
  readonly isPatched?: boolean
  /** The number of URLs, and of caches. */
  readonly before: readonly number[]
  readonly after: readonly number[]
}

/** Returns how many configs or engines more there are; a tenth of one does not count. */
function grown(before: readonly number[], after: readonly number[]): number[] {
  expect(before.map((count) => count > 0)).toEqual([true, true])
  return after.map((count, index) => Math.max(0, Math.round((count - (before[index] ?? 0)) / 20)))
}

async function outputOf(code: string): Promise<Output> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: new URL('../..', import.meta.url),
  })
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return JSON.parse(output) as Output
}

describe('berth serve', () => {
  it('keeps nothing of the engines and configs that reloads have replaced', async () => {
    const [port = 0, metricsPort = 0] = await freePorts(2)
    const args =
      `serve --config ${directory}/berth.yaml --host 127.0.0.1 --port ${port} --metrics-port ${metricsPort} --tls-cert ${directory}/certs/tls.crt --tls-key ${directory}/certs/tls.key`.split(
        ' ',
      )
    const { isPatched, before, after } = await outputOf(
      script(
        args,
        `
        await waitFor('listening', 1)
        const dispatcher = new Agent({ connections: 4, connect: { rejectUnauthorized: false } })
        const review = () =>
          request('https://localhost:${port}/mutate', {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(reviewOf(podOf(['docker.io/team/app:1']))),
            dispatcher,
          }).then(({ body }) => body.json())
        const { response } = await review()
        const before = counts()
        for (let generation = 1; generation <= 5; generation++) {
          await Promise.all([review(), review(), review()])
          write(generation)
          await waitFor('config reloaded', generation)
        }
        await review()
        await sleep(500)
        process.stdout.write(JSON.stringify({ isPatched: 'patch' in response, before, after: counts() }))
        process.exit(0)
        `,
      ),
    )

    expect(isPatched).toBe(true)
    expect(grown(before, after)).toEqual([0, 0])
  }, 120_000)
})

describe('berth controller', () => {
  it('keeps nothing of the configs that reloads have replaced', async () => {
    const [metricsPort = 0] = await freePorts(1)
    const kubeconfig = join(directory, 'kubeconfig')
    const args =
      `controller --config ${directory}/berth.yaml --kubeconfig ${kubeconfig} --namespace berth --host 127.0.0.1 --metrics-port ${metricsPort}`.split(
        ' ',
      )
    const { before, after } = await outputOf(
      script(
        args,
        `
        await waitFor('loops started', 1)
        const before = counts()
        for (let generation = 1; generation <= 5; generation++) {
          write(generation)
          await waitFor('loops started', generation + 1)
        }
        await sleep(500)
        process.stdout.write(JSON.stringify({ before, after: counts() }))
        process.exit(0)
        `,
        `
        const { startScriptedApiServer } = await import(${url('test/support/scripted-api-server.ts')})
        const api = await startScriptedApiServer()
        writeFileSync(${JSON.stringify(kubeconfig)}, JSON.stringify({
          apiVersion: 'v1', kind: 'Config', 'current-context': 'c',
          clusters: [{ name: 'c', cluster: { server: api.url, 'insecure-skip-tls-verify': true } }],
          contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
          users: [{ name: 'u', user: { token: 't' } }],
        }))
        `,
      ),
    )

    expect(grown(before, after)).toEqual([0, 0])
  }, 120_000)
})
