import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { createEngine, type Engine } from '../../src/engine/decision-engine.ts'
import { barePod } from '../support/tables.ts'

const roundTripMs = 20
const images = 50

let requests: string[]
let connections: number
let registry: Server
let engine: Engine

beforeEach(async () => {
  requests = []
  connections = 0
  registry = createServer(({ method, url }, response) => {
    requests.push(`${method} ${url}`)
    setTimeout(() => {
      response.setHeader('docker-content-digest', `sha256:${'a'.repeat(64)}`)
      response.setHeader('content-type', 'application/vnd.oci.image.index.v1+json')
      response.setHeader('content-length', '100')
      response.end()
    }, roundTripMs)
  }).on('connection', () => (connections += 1))
  await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve))
  const endpoint = `http://127.0.0.1:${(registry.address() as AddressInfo).port}`
  const read = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: m.example, endpoint: '${endpoint}', mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['m.example/{path}', 'docker.io/{path}'] }]
`,
    '/nowhere',
  )
  if (!read.ok) throw new Error('the config is invalid')
  engine = createEngine(read.config, { secretsDirectory: '/nowhere' })
})

afterEach(async () => {
  await engine.close()
  registry.closeAllConnections()
  await new Promise((resolve) => registry.close(resolve))
})

async function decide(image: string): Promise<string> {
  const signal = AbortSignal.timeout(5_000)
  const decision = await engine.decide(image, { pod: barePod, signal: () => signal })
  return decision.ok ? decision.image : decision.error
}

describe('50 new images a second', () => {
  it('wait for one request each, on connections that stay open', async () => {
    const decisions: Promise<string>[] = []
    for (let index = 0; index < images; index++) {
      decisions.push(decide(`team/app:${index}`))
      await sleep(1_000 / images)
    }
    const decided = await Promise.all(decisions)
    const expected = Array.from({ length: images }, (_, index) => index)

    expect(decided).toEqual(expected.map((index) => `m.example/team/app:${index}`))
    expect(requests.toSorted()).toEqual(
      expected.map((index) => `HEAD /v2/team/app/manifests/${index}`).toSorted(),
    )
    // Many more than are in flight at once, and far fewer than images.
    expect(connections).toBeLessThanOrEqual(images / 2)
  })
})
