import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'
import type { Behaviour } from '../../support/registry-behaviour.ts'
import { ask, type Client, createClient, registryAt } from '../../support/manifest-source.ts'

let registry: FakeRegistry
let client: Client

beforeEach(async () => {
  registry = await startFakeRegistry()
  registry.addManifest({ repository: 'team/app', tag: '1' })
  client = createClient([registryAt(registry.url)])
})

afterEach(async () => {
  await client.close()
  await registry.close()
})

/** HEAD leaves it to GET, and GET does this. */
function onGet(behaviour: Behaviour) {
  registry.behave(({ method }) => (method === 'HEAD' ? { status: 405 } : behaviour))
}

const large = 'manifest above 4 MiB'

describe('a limit (R-15)', () => {
  it('ends an endless manifest', async () => {
    onGet({ endless: true })

    expect(await ask(client, registry.host)).toEqual({ outcome: 'invalid', detail: large })
  })

  it('is 4 MiB for a manifest, in HEAD as in GET', async () => {
    const body = (size: number) => `{"schemaVersion":2,"layers":[]}`.padEnd(size)
    registry.addManifest({ repository: 'team/app', tag: 'fits', body: body(4 * 1024 * 1024) })
    registry.addManifest({ repository: 'team/app', tag: 'large', body: body(4 * 1024 * 1024 + 1) })
    const byHead = [
      await ask(client, registry.host, { reference: 'fits' }),
      await ask(client, registry.host, { reference: 'large' }),
    ]
    registry.behave(({ method }) => (method === 'HEAD' ? { status: 405 } : null))
    const byGet = [
      await ask(client, registry.host, { reference: 'fits' }),
      await ask(client, registry.host, { reference: 'large' }),
    ]

    for (const [fits, tooLarge] of [byHead, byGet]) {
      expect(fits).toMatchObject({ outcome: 'found' })
      expect(tooLarge).toEqual({ outcome: 'invalid', detail: large })
    }
  })

  it('leaves the status of an error whose body is too large', async () => {
    onGet({ status: 404, endless: true })

    expect(await ask(client, registry.host)).toEqual({ outcome: 'absent', detail: '404' })
  })

  it('refuses headers above 16 KiB', async () => {
    registry.behave(() => ({ headers: { 'x-long': 'a'.repeat(17 * 1024) } }))

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'invalid',
      detail: `headers from ${registry.host} above 16 KiB`,
    })
  })

  it.each<[string, Behaviour]>([
    ['a compressed bomb', { gzipBomb: true }],
    ['a thousand codings', { headers: { 'content-encoding': 'gzip, '.repeat(1_000) } }],
  ])('refuses %s without unpacking it', async (_, behaviour) => {
    onGet(behaviour)

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'invalid',
      detail: 'the answer is compressed, which was not asked for',
    })
  })

  it('takes `identity` for what it is', async () => {
    registry.behave(() => ({ headers: { 'content-encoding': 'identity' } }))

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found' })
  })

  it('answers the next question after a connection was given up', async () => {
    onGet({ endless: true })
    await ask(client, registry.host)
    registry.behave(() => null)

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found' })
  })
})

describe('a deadline (R-15)', () => {
  it.each<[string, Behaviour]>([
    ['before the headers', { hang: 'before-headers' }],
    ['in the middle of the body', { hang: 'mid-body' }],
    ['for a byte at a time', { drip: true }],
    ['for a registry that is slow', { delayMs: 60_000 }],
  ])('ends the wait %s', async (_, behaviour) => {
    const stop = new AbortController()
    registry.behave(({ method }) => {
      if (method === 'HEAD') return { status: 405 }
      // Aborted while the answer is on its way: the request has arrived.
      setImmediate(() => stop.abort())
      return behaviour
    })

    expect(await ask(client, registry.host, { signal: stop.signal })).toEqual({
      outcome: 'timeout',
      detail: 'no answer in time',
    })
  })

  it('ends the wait for a name server that says nothing', async () => {
    const stop = new AbortController()
    const lost = createClient([registryAt('http://slow.example')], {
      network: { lookup: () => stop.abort() },
    })

    expect(await ask(lost, 'slow.example', { signal: stop.signal })).toMatchObject({
      outcome: 'timeout',
    })
    await lost.close()
  })

  it('that has passed before asks nothing, not even for an address', async () => {
    const looked: string[] = []
    const late = createClient([registryAt('http://late.example')], {
      network: { lookup: (hostname) => void looked.push(hostname) },
    })

    expect(await ask(late, 'late.example', { signal: AbortSignal.abort() })).toMatchObject({
      outcome: 'timeout',
    })
    expect(looked).toEqual([])
    await late.close()
  })
})
