import { createServer, type Server } from 'node:net'
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

describe('a network error', () => {
  it('is unreachable when the registry refuses the connection', async () => {
    await registry.close()

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'unreachable',
      detail: `ECONNREFUSED ${registry.host}`,
      hasNoConnection: true,
    })
    registry = await startFakeRegistry()
  })

  it.each([
    ['ENOTFOUND', 'no such host nowhere.example'],
    ['EAI_AGAIN', 'no DNS server answered for nowhere.example'],
  ])('is unreachable for the DNS error %s', async (code, detail) => {
    const lost = createClient([registryAt('http://nowhere.example:5000')], {
      network: { lookup: (_, done) => done(Object.assign(new Error('UNTRUSTED'), { code }), []) },
    })

    expect(await ask(lost, 'nowhere.example:5000')).toEqual({
      outcome: 'unreachable',
      detail,
      hasNoConnection: true,
    })
    await lost.close()
  })

  it.each<[string, Behaviour, string, RegExp]>([
    [
      'the registry closes the connection in the body',
      { cut: true },
      'unreachable',
      /closed the connection/,
    ],
    [
      'the registry closes the connection without a response',
      { raw: '' },
      'unreachable',
      /closed the connection/,
    ],
    [
      'the server is not an HTTP server',
      { raw: 'SSH-2.0-OpenSSH_9.6\r\n' },
      'invalid',
      /does not speak HTTP/,
    ],
    [
      'a header contains a line break',
      { raw: 'HTTP/1.1 200 OK\r\nDocker-Content-Digest: a\rb\r\n\r\n' },
      'invalid',
      /does not speak HTTP/,
    ],
    [
      'the response has two lengths',
      { raw: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab' },
      'invalid',
      /does not have its stated Content-Length/,
    ],
    [
      'the body is shorter than its length',
      { raw: 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}' },
      'unreachable',
      /closed the connection/,
    ],
  ])('is described when %s', async (_, behaviour, outcome, detail) => {
    onGet(behaviour)

    expect(await ask(client, registry.host)).toEqual({
      outcome,
      detail: expect.stringMatching(detail) as string,
    })
  })

  it('is a timeout without a connection if the registry accepts none', async () => {
    const silent = createClient([registryAt('http://nowhere.example:5000')], {
      network: { lookup: () => undefined },
    })
    const signal = AbortSignal.timeout(1_100)

    expect(await ask(silent, 'nowhere.example:5000', { signal })).toEqual({
      outcome: 'timeout',
      detail: 'no response in time',
      hasNoConnection: true,
    })
    await silent.close()
  })

  it('is a timeout with a connection if the registry does not respond', async () => {
    onGet({ hang: 'before-headers' })
    const signal = AbortSignal.timeout(1_100)

    expect(await ask(client, registry.host, { signal })).toEqual({
      outcome: 'timeout',
      detail: 'no response in time',
    })
  })

  it('is unreachable when the registry resets the connection', async () => {
    const server: Server = createServer((socket) => socket.resetAndDestroy())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const lost = createClient([registryAt(`http://127.0.0.1:${port}`)])

    expect(await ask(lost, `127.0.0.1:${port}`)).toEqual({
      outcome: 'unreachable',
      detail: `127.0.0.1:${port} closed the connection`,
    })
    await lost.close()
    server.close()
  })
})
