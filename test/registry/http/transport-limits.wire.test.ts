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

/** Makes HEAD fail, so that Berth sends GET, which then behaves like this. */
function onGet(behaviour: Behaviour) {
  registry.behave(({ method }) => (method === 'HEAD' ? { status: 405 } : behaviour))
}

const tooLarge = 'manifest exceeds 4 MiB'

describe('size limits', () => {
  it('stops reading an endless manifest', async () => {
    onGet({ endless: true })

    expect(await ask(client, registry.host)).toEqual({ outcome: 'invalid', detail: tooLarge })
  })

  it('accepts a manifest of 4 MiB and no more, with HEAD and with GET', async () => {
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

    for (const [fits, large] of [byHead, byGet]) {
      expect(fits).toMatchObject({ outcome: 'found' })
      expect(large).toEqual({ outcome: 'invalid', detail: tooLarge })
    }
  })

  it('keeps the status of an error whose body is too large', async () => {
    onGet({ status: 404, endless: true })

    expect(await ask(client, registry.host)).toEqual({ outcome: 'absent', detail: '404' })
  })

  it('rejects response headers over 16 KiB', async () => {
    registry.behave(() => ({ headers: { 'x-long': 'a'.repeat(17 * 1024) } }))

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'invalid',
      detail: `response headers from ${registry.host} exceed 16 KiB`,
    })
  })

  it.each<[string, Behaviour]>([
    ['a decompression bomb', { gzipBomb: true }],
    ['a thousand content codings', { headers: { 'content-encoding': 'gzip, '.repeat(1_000) } }],
  ])('rejects %s without decompressing it', async (_, behaviour) => {
    onGet(behaviour)

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'invalid',
      detail: 'the response is compressed, although Berth accepts no compression',
    })
  })

  it('accepts the content coding `identity`', async () => {
    registry.behave(() => ({ headers: { 'content-encoding': 'identity' } }))

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found' })
  })

  it('sends the next request after it closed a connection', async () => {
    onGet({ endless: true })
    await ask(client, registry.host)
    registry.behave(() => null)

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found' })
  })
})

describe('an aborted signal', () => {
  it.each<[string, Behaviour]>([
    ['before the headers', { hang: 'before-headers' }],
    ['in the middle of the body', { hang: 'mid-body' }],
    ['while single bytes arrive', { drip: true }],
    ['while the registry is slow', { delayMs: 60_000 }],
  ])('ends a request %s', async (_, behaviour) => {
    const abort = new AbortController()
    registry.behave(({ method }) => {
      if (method === 'HEAD') return { status: 405 }
      // Abort after the request has arrived.
      setImmediate(() => abort.abort())
      return behaviour
    })

    expect(await ask(client, registry.host, { signal: abort.signal })).toEqual({
      outcome: 'timeout',
      detail: 'no response in time',
    })
  })

  it('ends a DNS lookup that gets no response', async () => {
    const abort = new AbortController()
    const lost = createClient([registryAt('http://slow.example')], {
      network: { lookup: () => abort.abort() },
    })

    expect(await ask(lost, 'slow.example', { signal: abort.signal })).toMatchObject({
      outcome: 'timeout',
    })
    await lost.close()
  })

  it('sends no request and no DNS lookup if it aborted before', async () => {
    const lookups: string[] = []
    const late = createClient([registryAt('http://late.example')], {
      network: { lookup: (hostname) => void lookups.push(hostname) },
    })

    expect(await ask(late, 'late.example', { signal: AbortSignal.abort() })).toMatchObject({
      outcome: 'timeout',
    })
    expect(lookups).toEqual([])
    await late.close()
  })
})
