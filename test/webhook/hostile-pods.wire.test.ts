/** What the pods of one tenant cost the others: time to decide, and the circuits of registries. */
import { Agent, request } from 'undici'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { createLogs } from '../../src/telemetry/log.ts'
import { makeCertificates } from '../../src/webhook/certificate/self-signed.ts'
import { startWebhook, type Webhook } from '../../src/webhook/start-webhook.ts'
import { type FakeRegistry, startFakeRegistry } from '../support/registry.ts'
import { podOf, reviewOf } from '../support/reviews.ts'

let registry: FakeRegistry
let webhook: Webhook
let agent: Agent

beforeEach(async () => {
  registry = await startFakeRegistry()
  const { ca, leaf } = await makeCertificates({ names: ['localhost'], days: 1, now: new Date() })
  const result = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: m.example, endpoint: '${registry.url}', mirror: true }]
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['m.example/{path}'] }
  - { name: closed, images: ['**'], try: ['m.example/{path}'], otherwise: deny }
`,
    '/nowhere',
  )
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('\n'))
  webhook = await startWebhook({
    config: result.config,
    tls: leaf,
    host: '127.0.0.1',
    port: 0,
    metricsPort: 0,
    secretsDirectory: '/nowhere',
    logs: createLogs('error', { write: () => undefined }),
  })
  agent = new Agent({ connections: 8, connect: { ca: ca.cert } })
})

afterEach(async () => {
  await agent.close()
  await webhook.close()
  await registry.close()
})

interface Answer {
  readonly allowed: boolean
  readonly patch?: string
  readonly status?: { readonly message: string }
}

async function review(images: readonly string[], namespace: string): Promise<Answer> {
  const response = await request(`https://localhost:${webhook.port}/mutate?timeout=5s`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(reviewOf(podOf(images), { namespace, dryRun: true })),
    dispatcher: agent,
  })
  return ((await response.body.json()) as { response: Answer }).response
}

describe('a pod with 12,000 different images', () => {
  it('is decided while the reviews of others are answered', async () => {
    registry.addManifest({ repository: 'team/app', tag: '1' })
    await review(['ghcr.io/team/app:1'], 'other')
    const finished: string[] = []
    // The mirror has none of them, so they stay as they are.
    const large = Array.from({ length: 12_000 }, (_, index) => `docker.io/team/app${index}:1`)
    const decided = review(large, 'tenant').then(() => finished.push('large'))
    await new Promise((resolve) => setTimeout(resolve, 100))
    let answered = 0
    while (!finished.includes('large') && answered < 20) {
      expect(await review(['ghcr.io/team/app:1'], 'other')).toMatchObject({ allowed: true })
      finished.push(`small ${answered++}`)
    }
    await decided

    // Without turns, none of them is answered before the large one.
    expect(finished.indexOf('large')).toBeGreaterThan(5)
  })
})

describe('a pod with five images that the mirror answers with 502', () => {
  it('does not stop the mirror for other namespaces, and not for its own', async () => {
    registry.addManifest({ repository: 'team/app', tag: '1' })
    registry.behave(({ path }) => (path.includes('bad') ? { status: 502 } : null))
    const bad = Array.from({ length: 5 }, (_, index) => `ghcr.io/bad/app${index}:1`)
    const denied = [await review(bad, 'tenant'), await review(bad, 'tenant')]
    const others = await Promise.all(
      ['tenant', 'other'].map((namespace) => review(['ghcr.io/team/app:1'], namespace)),
    )

    expect(denied.map(({ allowed }) => allowed)).toEqual([false, false])
    expect(denied[0]?.status?.message).toContain('m.example unreachable (502')
    expect(others.map(({ allowed, patch }) => [allowed, patch !== undefined])).toEqual([
      [true, true],
      [true, true],
    ])
  })
})
