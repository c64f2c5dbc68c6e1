import { type AddressInfo, createServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { parseProxy, proxyRulesFromEnvironment } from '../../../src/proxy/proxy-rules.ts'
import type { RegistrySettings } from '../../../src/registry/http/registry-settings.ts'
import { type FakeProxyOptions, startFakeProxy } from '../../support/proxy.ts'
import { type FakeRegistryOptions, startFakeRegistry } from '../../support/registry.ts'
import { createTestCertificate } from '../../support/registry-tls.ts'
import { ask, createClient, credential, registryAt } from '../../support/manifest-source.ts'

const open: { close(): Promise<unknown> }[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

async function startProxy(options: FakeProxyOptions = {}) {
  const proxy = await startFakeProxy(options)
  open.push(proxy)
  return proxy
}

async function startRegistry(options: FakeRegistryOptions = {}) {
  const registry = await startFakeRegistry(options)
  registry.addManifest({ repository: 'team/app', tag: '1' })
  open.push(registry)
  return registry
}

/** The settings of a registry on loopback under a name that only the proxy can resolve. */
function named(url: string, changes: Partial<RegistrySettings> = {}): RegistrySettings {
  return registryAt(url.replace('127.0.0.1', 'registry.invalid'), changes)
}

function connect(settings: RegistrySettings, env: Readonly<Record<string, string>>) {
  const client = createClient([settings], {
    proxyRules: proxyRulesFromEnvironment(env),
    credentials: [credential('right')],
  })
  open.push(client)
  return client
}

async function startTlsRegistry(options: FakeRegistryOptions = {}) {
  const tls = await createTestCertificate(['registry.invalid', 'tokens.invalid'])
  const registry = await startRegistry({ ...options, tls })
  return { registry, settings: named(registry.url, { ca: tls.cert }) }
}

describe('a registry behind a proxy', () => {
  it('is reached through a tunnel over https, and so is its token server', async () => {
    const proxy = await startProxy()
    const { registry, settings } = await startTlsRegistry({
      auth: { kind: 'bearer', users: { user: 'right' } },
    })
    const { port } = new URL(registry.url)
    const tokenServer = `tokens.invalid:${port}`
    const challenge = `Bearer realm="https://${tokenServer}/token",service="fake"`
    registry.behave(({ server, headers }) =>
      server === 'registry' && headers.authorization === undefined
        ? { status: 401, headers: { 'www-authenticate': challenge } }
        : null,
    )
    const env = { HTTPS_PROXY: proxy.url }
    const client = connect({ ...settings, authHosts: [tokenServer] }, env)

    expect(await ask(client, settings.host)).toMatchObject({ outcome: 'found' })
    // The registry closes the connection after the challenge.
    expect([...new Set(proxy.requests)]).toEqual([
      `CONNECT registry.invalid:${port}`,
      `CONNECT tokens.invalid:${port}`,
    ])
  })

  it('gets requests with the whole URL over http, and many on one connection', async () => {
    const proxy = await startProxy()
    const registry = await startRegistry()
    const settings = named(registry.url)
    const client = connect(settings, { http_proxy: proxy.host })

    expect(await ask(client, settings.host)).toMatchObject({ outcome: 'found' })
    expect(proxy.requests).toEqual([`HEAD ${settings.endpoint.href}v2/team/app/manifests/1`])
    expect(registry.requests[0]?.headers.host).toBe(settings.host)
  })

  it('is reached directly if NO_PROXY contains it, or `proxy` is none', async () => {
    const proxy = await startProxy()
    const registry = await startRegistry()
    const [env, endpoint] = [{ HTTP_PROXY: proxy.url }, new URL(registry.url)]
    const exempt = connect(named(registry.url), { ...env, NO_PROXY: '.invalid' })
    const none = connect(named(registry.url, { proxy: 'none' }), env)
    const local = connect(registryAt(registry.url), env)

    expect(await ask(exempt, `registry.invalid:${endpoint.port}`)).toMatchObject({
      outcome: 'unreachable',
      detail: expect.stringMatching(/^no such host registry.invalid$|^no DNS server/) as string,
    })
    await ask(none, `registry.invalid:${endpoint.port}`)
    expect(await ask(local, registry.host)).toMatchObject({ outcome: 'found' })
    expect(proxy.requests).toEqual([])
  })

  it('uses the proxy of the config before that of the environment', async () => {
    const [proxy, other] = [await startProxy(), await startProxy()]
    const registry = await startRegistry()
    const settings = named(registry.url, { proxy: parseProxy(proxy.url) ?? 'none' })
    const client = connect(settings, { HTTP_PROXY: other.url, NO_PROXY: '*' })

    expect(await ask(client, settings.host)).toMatchObject({ outcome: 'found' })
    expect(proxy.requests).toHaveLength(1)
    expect(other.requests).toEqual([])
  })

  it('is reached through a proxy over TLS with a private CA', async () => {
    const tls = await createTestCertificate()
    const proxy = await startProxy({ tls })
    const registry = await startRegistry()
    const trusted = connect(named(registry.url, { ca: tls.cert }), { HTTP_PROXY: proxy.url })
    const untrusted = connect(named(registry.url), { HTTP_PROXY: proxy.url })
    const host = `registry.invalid:${new URL(registry.url).port}`

    expect(await ask(trusted, host)).toMatchObject({ outcome: 'found' })
    expect(await ask(untrusted, host)).toEqual({
      outcome: 'unreachable',
      detail: `the certificate of the proxy ${proxy.url} is signed by an unknown authority`,
      hasNoConnection: true,
    })
  })

  it('is reached through TLS in TLS', async () => {
    const tls = await createTestCertificate(['registry.invalid', '127.0.0.1'])
    const proxy = await startProxy({ tls })
    const registry = await startRegistry({ tls })
    const settings = named(registry.url, { ca: tls.cert })
    const client = connect(settings, { HTTPS_PROXY: proxy.url })

    expect(await ask(client, settings.host)).toMatchObject({ outcome: 'found' })
  })

  it('gets no credential of the proxy, and the proxy none of the registry over https', async () => {
    const proxy = await startProxy({ login: 'us:er@word' })
    const { registry, settings } = await startTlsRegistry({
      auth: { kind: 'basic', users: { user: 'right' } },
    })
    const [https, http] = [settings, await startRegistry()]
    const url = `http://us%3Aer:word@${proxy.host}`
    const withPassword = await startProxy({ login: 'us:er' })
    const login = `http://us:er@${withPassword.host}`
    const viaHttp = connect(named(http.url), { HTTP_PROXY: login })
    const viaHttps = connect(https, { HTTPS_PROXY: login })

    expect(await ask(viaHttp, named(http.url).host)).toMatchObject({ outcome: 'found' })
    expect(await ask(viaHttps, https.host)).toMatchObject({ outcome: 'found' })
    expect(JSON.stringify(withPassword.headers)).not.toContain(
      Buffer.from('user:right').toString('base64'),
    )
    for (const { headers } of registry.requests)
      expect(headers).not.toHaveProperty('proxy-authorization')
    expect(await ask(connect(https, { HTTPS_PROXY: url }), https.host)).toMatchObject({
      detail: `the proxy ${proxy.url} rejects the user name and password in its URL (407)`,
    })
  })
})

describe('credentials over plain HTTP behind a proxy of the environment', () => {
  const secret = Buffer.from('user:right').toString('base64')

  it.each(['basic', 'bearer'] as const)('are not sent for %s authentication', async (kind) => {
    const proxy = await startProxy()
    const registry = await startRegistry({ auth: { kind, users: { user: 'right' } } })
    const settings = named(registry.url, {
      allowPlainHttpAuth: true,
      authHosts: [registry.tokenHost],
    })
    const client = connect(settings, { HTTP_PROXY: proxy.url })

    expect(await ask(client, settings.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining(
        `; credentials are not sent over plain HTTP through the proxy ${proxy.url} of the environment; set \`proxy\` for this registry, add ${settings.host} to NO_PROXY, or use https`,
      ) as string,
    })
    expect(JSON.stringify(proxy.headers)).not.toContain(secret)
  })

  it('are sent if the registry names its own proxy', async () => {
    const proxy = await startProxy()
    const registry = await startRegistry({ auth: { kind: 'basic', users: { user: 'right' } } })
    const settings = named(registry.url, {
      allowPlainHttpAuth: true,
      proxy: parseProxy(proxy.url) ?? 'none',
    })

    expect(await ask(connect(settings, {}), settings.host)).toMatchObject({ outcome: 'found' })
  })

  it('are not sent to a token server, if only the registry is exempt', async () => {
    const proxy = await startProxy()
    const registry = await startRegistry({
      auth: {
        kind: 'bearer',
        users: { user: 'right' },
        challenge: () => 'Bearer realm="http://tokens.invalid/token",service="fake"',
      },
    })
    const settings = registryAt(registry.url, {
      allowPlainHttpAuth: true,
      authHosts: ['tokens.invalid'],
    })
    const client = connect(settings, { HTTP_PROXY: proxy.url })

    expect(await ask(client, settings.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining('add tokens.invalid to NO_PROXY') as string,
    })
    expect(proxy.requests).toEqual([])
  })
})

describe('a redirect of a registry behind a proxy', () => {
  it.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://10.0.0.1/',
    'http://[fd00:ec2::254]/',
    'http://127.0.0.1:1/',
    'http://localhost:1/',
    'http://localhost.:1/',
    'http://app.localhost:1/',
    'http://0.0.0.0:1/',
    'http://[::]:1/',
  ])('to %s does not reach the proxy', async (location) => {
    const proxy = await startProxy()
    const registry = await startRegistry()
    registry.behave(() => ({ status: 307, headers: { location } }))
    const settings = named(registry.url)
    const client = connect(settings, { HTTP_PROXY: proxy.url })

    expect(await ask(client, settings.host)).toMatchObject({
      outcome: 'invalid',
      detail: expect.stringContaining('resolves to an internal address') as string,
    })
    expect(proxy.requests).toHaveLength(1)
  })
})

async function closedPort(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

describe('a proxy that fails', () => {
  it.each<[string, FakeProxyOptions, string]>([
    ['wants a password', { login: 'user:word' }, 'requires a user name and password (407)'],
    [
      'forbids',
      { answer: 'HTTP/1.1 403 Filtered\r\n\r\n' },
      'does not allow connections to HOST (403)',
    ],
    ['answers 502', { answer: 'HTTP/1.1 502 Bad Gateway\r\n\r\n' }, 'cannot connect to HOST (502)'],
    [
      'cannot resolve',
      { answer: 'HTTP/1.1 503 Service Unavailable\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\n\r\n' },
      'cannot resolve HOST (503)',
    ],
    [
      'redirects',
      { answer: 'HTTP/1.1 302 Found\r\n\r\n' },
      'responded with status 302 to CONNECT for HOST',
    ],
    ['speaks SSH', { answer: 'SSH-2.0-OpenSSH_9.2\r\n' }, 'does not speak HTTP'],
    ['closes the connection', { answer: (socket) => socket.destroy() }, 'closed the connection'],
    ['hangs', { answer: () => undefined }, 'did not connect to HOST in time'],
    [
      'sends too many headers',
      { answer: `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(40_000)}\r\n\r\n` },
      'does not speak HTTP',
    ],
  ])('is named: %s', async (_, options, expected) => {
    const proxy = await startProxy(options)
    const { settings } = await startTlsRegistry()
    const client = connect(settings, { HTTPS_PROXY: proxy.url })

    expect(await ask(client, settings.host)).toEqual({
      outcome: 'unreachable',
      detail: `the proxy ${proxy.url} ${expected.replace('HOST', settings.host)}`,
      hasNoConnection: true,
    })
  })

  it.each(['http', 'https'])(
    'is named in the error if it refuses the connection (%s)',
    async (scheme) => {
      const name = await closedPort()
      const settings = registryAt(`${scheme}://registry.invalid`)
      const client = connect(settings, { HTTPS_PROXY: name, HTTP_PROXY: name })

      expect(await ask(client, settings.host)).toMatchObject({
        outcome: 'unreachable',
        detail: `the proxy ${name} refuses the connection`,
      })
    },
  )

  it('is named in the error if its own name does not resolve', async () => {
    const settings = registryAt('https://registry.invalid')
    const client = connect(settings, { HTTPS_PROXY: 'http://user:word@proxy.invalid:3128' })

    const { detail } = (await ask(client, settings.host)) as { detail: string }
    expect(detail).toMatch(/name of the proxy http:\/\/proxy\.invalid:3128/)
    expect(detail).not.toContain('word')
  })

  it('is named in the error if it requires a password for an http registry', async () => {
    const proxy = await startProxy({ login: 'user:word' })
    const registry = await startRegistry()
    const settings = named(registry.url)
    const client = connect(settings, { HTTP_PROXY: proxy.url })

    expect(await ask(client, settings.host)).toMatchObject({
      outcome: 'unreachable',
      detail: `the proxy ${proxy.url} requires a user name and password (407)`,
    })
  })

  it.each([
    [401, { server: 'tinyproxy/1.11.1', 'www-authenticate': 'Basic realm="tinyproxy"' }],
    [503, { 'x-squid-error': 'ERR_CONNECT_FAIL 111' }],
  ])('is named if it answers %i for an http registry', async (status, headers) => {
    const proxy = await startProxy()
    const registry = await startRegistry({ behave: () => ({ status, headers }) })
    const settings = named(registry.url)
    const client = connect(settings, { HTTP_PROXY: `http://user:word@${proxy.host}` })

    expect(await ask(client, settings.host)).toMatchObject({
      outcome: 'unreachable',
      detail:
        status === 401
          ? `the proxy ${proxy.url} rejects the user name and password in its URL (401)`
          : `the proxy ${proxy.url} cannot connect to ${settings.host} (503)`,
    })
    expect(registry.requests).toHaveLength(1)
  })

  it('is named in errors for its own status for an http registry, and for failures of the registry', async () => {
    const proxy = await startProxy()
    const gone = named(await closedPort())
    const registry = await startRegistry()
    const plain = named(registry.url.replace('http:', 'https:'))
    const env = { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url }

    expect(await ask(connect(gone, env), gone.host)).toMatchObject({
      detail: `502 through the proxy ${proxy.url}`,
    })
    expect(await ask(connect(plain, env), plain.host)).toMatchObject({
      detail: expect.stringMatching(/^no TLS on .* \(through the proxy http:/) as string,
    })
  })

  it('is not bypassed if the variable is not the URL of a proxy', async () => {
    const registry = await startRegistry()
    const settings = named(registry.url)
    const client = connect(settings, { HTTP_PROXY: 'socks5://user:word@proxy:1080' })

    expect(await ask(client, settings.host)).toMatchObject({
      outcome: 'unreachable',
      detail: 'HTTP_PROXY is not the URL of an HTTP proxy; write http://HOST:PORT',
    })
    expect(registry.requests).toEqual([])
  })
})
