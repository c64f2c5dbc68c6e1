import { once } from 'node:events'
import { createServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import type { TLSSocket, TlsOptions } from 'node:tls'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { proxyRulesFromEnvironment } from '../../../src/proxy/proxy-rules.ts'
import type { ClientCertificate } from '../../../src/registry/http/connector.ts'
import { failed, RequestFailedError } from '../../../src/registry/http/network-error.ts'
import { makeClientCertificate } from '../../support/client-certificate.ts'
import { ask, createClient, registryAt } from '../../support/manifest-source.ts'
import { startFakeProxy } from '../../support/proxy.ts'
import { startFakeRegistry } from '../../support/registry.ts'
import { createTestCertificate, type TestCertificate } from '../../support/registry-tls.ts'

const open: { close(): Promise<unknown> }[] = []
let server: TestCertificate
let good: { ca: ClientCertificate; client: ClientCertificate }
let other: { ca: ClientCertificate; client: ClientCertificate }

beforeAll(async () => {
  server = await createTestCertificate(['127.0.0.1', 'registry.invalid'])
  good = await makeClientCertificate('berth.example')
  other = await makeClientCertificate('other.example', 'another CA')
})

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

/** A registry that wants a certificate of the CA `good`. */
async function startRegistry(options: TlsOptions = {}) {
  const wanted = { requestCert: true, rejectUnauthorized: true, ca: good.ca.cert }
  const registry = await startFakeRegistry({ tls: { ...server, ...wanted, ...options } })
  registry.addManifest({ repository: 'team/app', tag: '1' })
  open.push(registry)
  return registry
}

function connect(url: string, certificate?: ClientCertificate) {
  const client = createClient(
    [registryAt(url, { ca: server.cert })],
    certificate === undefined ? {} : { clientCertificate: () => certificate },
  )
  open.push(client)
  return client
}

describe.each([['TLSv1.3' as const], ['TLSv1.2' as const]])(
  'a registry that requires a client certificate in %s',
  (maxVersion) => {
    it('gets the certificate of the config', async () => {
      const registry = await startRegistry({ maxVersion })

      expect(await ask(connect(registry.url, good.client), registry.host)).toMatchObject({
        outcome: 'found',
      })
    })

    it('gives an error that says so if the config has none', async () => {
      const registry = await startRegistry({ maxVersion })

      expect(await ask(connect(registry.url), registry.host)).toMatchObject({
        outcome: 'denied',
        detail:
          maxVersion === 'TLSv1.3'
            ? `${registry.host} requires a client certificate`
            : `${registry.host} refuses the TLS handshake; it may require a client certificate`,
      })
    })
  },
)

describe('a registry that ends the handshake with an alert', () => {
  it.each([
    [40, true, 'refuses the TLS handshake'],
    [42, false, 'requires a client certificate'],
    [42, true, 'rejects the client certificate (bad certificate)'],
    [45, true, 'rejects the client certificate (certificate expired)'],
    [48, true, 'rejects the client certificate (unknown CA)'],
    [48, false, 'requires a client certificate'],
    [116, true, 'requires a client certificate'],
  ])('%i is named, with a certificate: %s', async (alert, hasOne, expected) => {
    const listener = createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, alert])))
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    open.push({ close: () => new Promise((resolve) => listener.close(resolve)) })
    const host = `127.0.0.1:${(listener.address() as AddressInfo).port}`
    const client = hasOne ? connect(`https://${host}`, good.client) : connect(`https://${host}`)

    expect(await ask(client, host)).toMatchObject({
      outcome: 'denied',
      detail: `${host} ${expected}`,
    })
  })
})

describe('a client certificate', () => {
  it('is not sent to the target of a redirect', async () => {
    const [registry, target] = [await startRegistry(), await startRegistry()]
    registry.behave(({ path }) => ({ status: 307, headers: { location: target.url + path } }))
    const client = connect(registry.url, good.client)

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: `${target.host} requires a client certificate`,
    })
  })

  it('is not sent to a token server of another host, but to one on the host of the registry', async () => {
    const [registry, tokens] = [await startRegistry(), await startRegistry()]
    const challenge = (host: string) => ({
      status: 401,
      headers: { 'www-authenticate': `Bearer realm="https://${host}/token",service="s"` },
    })
    const settings = registryAt(registry.url, { ca: server.cert, authHosts: [tokens.host] })
    const client = createClient([settings], { clientCertificate: () => good.client })
    open.push(client)
    registry.behave(() => challenge(tokens.host))

    expect(await ask(client, registry.host)).toMatchObject({
      detail: expect.stringContaining(
        `token server ${tokens.host}: ${tokens.host} requires a client certificate`,
      ) as string,
    })
    registry.behave(({ path }) => (path.startsWith('/token') ? null : challenge(registry.host)))
    await ask(client, registry.host, { reference: '2' })
    expect(registry.requests.map(({ path }) => path)).toContainEqual(
      expect.stringMatching(/^\/token/),
    )
  })

  it('is sent through a proxy, but not to a proxy over TLS', async () => {
    const registry = await startRegistry()
    const proxy = await startFakeProxy({ tls: server })
    const url = registry.url.replace('127.0.0.1', 'registry.invalid')
    const client = createClient([registryAt(url, { ca: server.cert })], {
      clientCertificate: () => good.client,
      proxyRules: proxyRulesFromEnvironment({ HTTPS_PROXY: proxy.url }),
    })
    open.push(proxy, client)

    expect(await ask(client, new URL(url).host)).toMatchObject({ outcome: 'found' })
  })

  it('is replaced for the next connection when it changes', async () => {
    const seen: string[] = []
    const https = createServer(
      { ...server, requestCert: true, rejectUnauthorized: false },
      ({ socket }, response) => {
        const { subjectaltname = 'none' } = (socket as TLSSocket).getPeerCertificate()
        seen.push(subjectaltname)
        response.writeHead(404, { connection: 'close' }).end()
      },
    )
    https.listen(0, '127.0.0.1')
    await once(https, 'listening')
    let current = good.client
    const url = `https://127.0.0.1:${(https.address() as AddressInfo).port}`
    const client = createClient([registryAt(url, { ca: server.cert })], {
      clientCertificate: () => current,
    })
    open.push(client, { close: () => new Promise((resolve) => https.close(resolve)) })

    await ask(client, new URL(url).host)
    current = other.client
    await ask(client, new URL(url).host, { reference: '2' })
    expect(new Set(seen)).toEqual(new Set(['DNS:berth.example', 'DNS:other.example']))
  })

  it('fails with the reason if it cannot be read, and opens no connection', async () => {
    const registry = await startRegistry()
    const client = createClient([registryAt(registry.url, { ca: server.cert })], {
      clientCertificate: () => {
        throw new RequestFailedError(failed('denied', 'tls.crt cannot be read (ENOENT)'))
      },
    })
    open.push(client)

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'denied',
      detail: 'tls.crt cannot be read (ENOENT)',
    })
  })
})

describe('nginx without the certificate that it wants', () => {
  it.each([
    ['No required SSL certificate was sent', 'requires a client certificate'],
    ['The SSL certificate error', 'rejects the client certificate'],
  ])('is recognized by its page: %s', async (title, expected) => {
    const registry = await startFakeRegistry({
      behave: ({ method }) => ({
        status: 400,
        headers: { 'content-type': 'text/html' },
        body: method === 'HEAD' ? '' : `<html><head><title>400 ${title}</title></head></html>`,
      }),
    })
    const client = createClient([registryAt(registry.url)])
    open.push(registry, client)

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'denied',
      detail: `${registry.host} ${expected}`,
    })
  })
})
