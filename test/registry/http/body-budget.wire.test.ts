import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ByteBudget, createByteBudget } from '../../../src/async/byte-budget.ts'
import { getManifest } from '../../../src/registry/manifests/manifests.ts'
import { createConnections } from '../../../src/registry/connections.ts'
import { createRegistryClient } from '../../../src/registry/registry-client.ts'
import { ask, createClient, registryAt } from '../../support/manifest-source.ts'
import { testClock } from '../../support/mirroring.ts'
import { digestOf, indexType } from '../../support/registry.ts'

const kibibyte = 1024
const body = Buffer.from('{"schemaVersion":2,"manifests":[]}'.padEnd(256 * kibibyte))
const digest = digestOf(body)

let server: Server
let url: string

/** Starts a registry that sends no digest with HEAD, and 256 KiB with GET. */
beforeEach(async () => {
  server = createServer(({ method }, response) => {
    response.setHeader('content-type', indexType)
    response.setHeader('content-length', body.length)
    response.end(method === 'HEAD' ? undefined : body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(() => {
  server.closeAllConnections()
  server.close()
})

/** A budget that records the most bytes that were in use at the same time. */
function measuredBudget(maxBytes: number): { budget: ByteBudget; peak: () => number } {
  const budget = createByteBudget(maxBytes)
  let inUse = 0
  let peak = 0
  return {
    peak: () => peak,
    budget: {
      maxBytes,
      async acquire(bytes, signal) {
        const release = await budget.acquire(bytes, signal)
        inUse += bytes
        peak = Math.max(peak, inUse)
        return () => {
          inUse -= bytes
          release()
        }
      },
    },
  }
}

describe('64 responses at the same time', () => {
  it('take less than the budget of one registry if they are probes', async () => {
    const { budget, peak } = measuredBudget(2048 * kibibyte)
    const client = createClient([registryAt(url)], { bodyBudget: budget })
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, index) =>
        ask(client, new URL(url).host, { repository: `team/app${index}` }),
      ),
    )
    await client.close()

    expect(new Set(answers.map(({ outcome }) => outcome))).toEqual(new Set(['found']))
    expect(peak()).toBeGreaterThan(0)
    expect(peak()).toBeLessThanOrEqual(512 * kibibyte)
  })

  it('take less than the budget of one registry if they are kept', async () => {
    const { budget, peak } = measuredBudget(2560 * kibibyte)
    const connections = createConnections({
      registries: new Map([[new URL(url).host, registryAt(url)]]),
      keychainFor: () => ({ lookup: () => Promise.resolve([]) }),
      now: () => 0,
      bodyBudget: budget,
    })
    const client = createRegistryClient(connections, testClock())
    const repository = await client.open(new URL(url).host, 'team/app', 'pull')
    const { signal } = new AbortController()
    const manifests = await Promise.all(
      Array.from({ length: 64 }, () => getManifest(repository, { digest }, signal)),
    )
    await client.close()

    expect(manifests).toHaveLength(64)
    expect(peak()).toBeGreaterThan(0)
    expect(peak()).toBeLessThanOrEqual(640 * kibibyte)
  })
})
