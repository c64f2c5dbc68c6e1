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

/** HEAD leaves it to GET, and GET does this. */
function onGet(behaviour: Behaviour) {
  registry.behave(({ method }) => (method === 'HEAD' ? { status: 405 } : behaviour))
}

describe('a registry that cannot be talked to', () => {
  it('is not there', async () => {
    await registry.close()

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'unreachable',
      detail: `ECONNREFUSED ${registry.host}`,
    })
    registry = await startFakeRegistry()
  })

  it.each([
    ['ENOTFOUND', 'no such host nowhere.example'],
    ['EAI_AGAIN', 'no name server answered for nowhere.example'],
  ])('has no address: %s', async (code, detail) => {
    const lost = createClient([registryAt('http://nowhere.example:5000')], {
      network: { lookup: (_, done) => done(Object.assign(new Error('UNTRUSTED'), { code }), []) },
    })

    expect(await ask(lost, 'nowhere.example:5000')).toEqual({ outcome: 'unreachable', detail })
    await lost.close()
  })

  it.each<[string, Behaviour, string, RegExp]>([
    ['cuts the body off', { cut: true }, 'unreachable', /closed the connection/],
    ['says nothing and hangs up', { raw: '' }, 'unreachable', /closed the connection/],
    ['speaks something else', { raw: 'SSH-2.0-OpenSSH_9.6\r\n' }, 'invalid', /does not speak HTTP/],
    [
      'smuggles a line into a header',
      { raw: 'HTTP/1.1 200 OK\r\nDocker-Content-Digest: a\rb\r\n\r\n' },
      'invalid',
      /does not speak HTTP/,
    ],
    [
      'has two lengths',
      { raw: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab' },
      'invalid',
      /not as long as it says/,
    ],
    [
      'promises more than it sends',
      { raw: 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nab' },
      'unreachable',
      /closed the connection/,
    ],
  ])('%s', async (_, behaviour, outcome, detail) => {
    onGet(behaviour)

    expect(await ask(client, registry.host)).toEqual({
      outcome,
      detail: expect.stringMatching(detail) as string,
    })
  })

  it('accepts a connection and then resets it', async () => {
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
