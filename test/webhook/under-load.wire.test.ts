import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent, request } from 'undici'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startWebhook, type Webhook } from '../../src/webhook/start-webhook.ts'
import type { Config } from '../../src/config/config.ts'
import { readConfig } from '../../src/config/load.ts'
import { watchConfig } from '../../src/config/watch.ts'
import { type Certificates, makeCertificates } from '../../src/webhook/certificate/self-signed.ts'
import { createLogs } from '../../src/telemetry/log.ts'
import { type FakeRegistry, startFakeRegistry } from '../support/registry.ts'
import { podOf, reviewOf } from '../support/reviews.ts'

let registry: FakeRegistry
let certificates: Certificates
let webhook: Webhook
let agent: Agent
const lines: string[] = []

beforeEach(async () => {
  lines.length = 0
  registry = await startFakeRegistry()
  registry.addManifest({ repository: 'library/app', tag: '1' })
  certificates = await makeCertificates({ names: ['localhost'], days: 1, now: new Date() })
  webhook = await startWebhook({
    config: configFor(registry.url),
    tls: certificates.leaf,
    host: '127.0.0.1',
    port: 0,
    metricsPort: 0,
    secretsDirectory: '/nowhere',
    logs: createLogs('info', { write: (line: string) => lines.push(line) }),
  })
  agent = agentTrusting(certificates)
})

afterEach(async () => {
  await agent.close()
  await webhook.close()
  await registry.close()
})

function configFor(endpoint: string): Config {
  const result = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: m.example, endpoint: '${endpoint}', mirror: true }, { host: docker.io, endpoint: '${endpoint}' }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['m.example/{path}', 'docker.io/{path}'] }]
pin: { tags: [latest] }
`,
    '/nowhere',
  )
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('\n'))
  return result.config
}

const agentTrusting = (...trusted: Certificates[]) =>
  new Agent({ connections: 32, connect: { ca: trusted.map(({ ca }) => ca.cert) } })

interface ReviewAnswer {
  readonly status: number
  readonly allowed: boolean
  readonly patched: boolean
}

async function review(image: string, dispatcher = agent): Promise<ReviewAnswer> {
  const response = await request(`https://localhost:${webhook.port}/mutate?timeout=5s`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(reviewOf(podOf([image]))),
    dispatcher,
  })
  const { response: answer } = (await response.body.json()) as {
    response: { allowed: boolean; patch?: string }
  }
  return {
    status: response.statusCode,
    allowed: answer.allowed,
    patched: answer.patch !== undefined,
  }
}

describe('an outage of all registries', () => {
  it.each([
    [
      'refuse connections',
      () =>
        registry
          .close()
          .then(() => startFakeRegistry())
          .then((next) => (registry = next)),
    ],
    ['answer 503', async () => registry.behave(() => ({ status: 503 }))],
    ['close connections', async () => registry.behave(() => ({ raw: '' }))],
  ])('fails no review and soon stops probing when registries %s', async (_, fail) => {
    await fail()
    const answers: ReviewAnswer[] = []
    for (let round = 0; round < 20; round++) {
      answers.push(
        ...(await Promise.all(
          Array.from({ length: 25 }, (__, index) => review(`app:${round}-${index}`)),
        )),
      )
    }

    expect(answers).toHaveLength(500)
    expect(answers.filter(({ status, allowed }) => status !== 200 || !allowed)).toEqual([])
    expect(registry.requests.length).toBeLessThan(100)
    expect(lines.filter((line) => line.includes('"level":"error"'))).toEqual([])
  })
})

describe('a config that is reloaded under load', () => {
  it('fails no review', async () => {
    const answers: ReviewAnswer[] = []
    for (let round = 0; round < 20; round++) {
      const batch = Array.from({ length: 25 }, () => review('app:1'))
      webhook.useConfig(configFor(registry.url))
      answers.push(...(await Promise.all(batch)))
    }

    expect(answers.filter(({ status, patched }) => status !== 200 || !patched)).toEqual([])
  })
})

describe('a config of 8,000 rows that is reloaded', () => {
  it('delays no review until it is loaded', async () => {
    const rows = Array.from(
      { length: 8_000 },
      (_, index) =>
        `  - { name: row-${index}, images: ['docker.io/team-${index}/**'], try: ['m.example/{host}/{path}', 'docker.io/{path}'] }\n`,
    )
    const file = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth.yaml')
    writeFileSync(
      file,
      `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nfallback:\n${rows.join('')}`,
    )
    const loaded = Promise.withResolvers<Config>()
    const state = { isLoaded: false, answered: 0 }
    const watch = watchConfig(file, {
      current: configFor(registry.url),
      onConfig: (config) => {
        state.isLoaded = true
        webhook.useConfig(config)
        loaded.resolve(config)
      },
      onError: loaded.reject,
    })
    while (!state.isLoaded) {
      expect((await review('app:1')).status).toBe(200)
      state.answered += 1
    }
    watch.stop()

    // On the event loop, the first review would wait for the whole config.
    expect(state.answered).toBeGreaterThan(5)
    expect((await loaded.promise).table.rows).toHaveLength(8_000)
  })
})

describe('a certificate that is renewed ten times under load', () => {
  it('fails no review', async () => {
    const renewed = await Promise.all(
      Array.from({ length: 10 }, () =>
        makeCertificates({ names: ['localhost'], days: 1, now: new Date() }),
      ),
    )
    const trusting = agentTrusting(certificates, ...renewed)
    const answers: ReviewAnswer[] = []
    for (const { leaf } of renewed) {
      const batch = Array.from({ length: 50 }, () => review('app:1', trusting))
      webhook.useCertificate(leaf, new Date())
      const fresh = agentTrusting(certificates, ...renewed)
      answers.push(...(await Promise.all(batch)), await review('app:1', fresh))
      await fresh.close()
    }
    await trusting.close()

    expect(answers).toHaveLength(510)
    expect(answers.filter(({ status, patched }) => status !== 200 || !patched)).toEqual([])
  })
})
