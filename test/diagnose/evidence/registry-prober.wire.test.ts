/** Probes of registries that answer like well-known ones, and the resulting verdicts. */
import { createServer } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import {
  createProber,
  type ProbeCredential,
  type Prober,
} from '../../../src/diagnose/evidence/registry-prober.ts'
import type { ProbeReport } from '../../../src/diagnose/evidence/probe-report.ts'
import { applyProbe } from '../../../src/diagnose/evidence/apply-probe.ts'
import { diagnoseMessage, type PullVerdict } from '../../../src/diagnose/verdict.ts'
import { ruleByCause } from '../../../src/diagnose/rules/table.ts'
import { BerthError } from '../../../src/errors.ts'
import type { ClientCertificate } from '../../../src/registry/http/connector.ts'
import { probeEndpoint } from '../../../src/registry/probe/endpoint-probe.ts'
import { type Network, systemNetwork } from '../../../src/registry/http/ip-ranges.ts'
import type { RegistrySettings } from '../../../src/registry/http/registry-settings.ts'
import {
  type FakeRegistry,
  type FakeRegistryOptions,
  startFakeRegistry,
} from '../../support/registry.ts'
import { noProxyRules, proxyRulesFromEnvironment } from '../../../src/proxy/proxy-rules.ts'
import { type FakeProxy, type FakeProxyOptions, startFakeProxy } from '../../support/proxy.ts'
import { registryAt } from '../../support/manifest-source.ts'
import { makeClientCertificate } from '../../support/client-certificate.ts'
import { createTestCertificate } from '../../support/registry-tls.ts'
import { referenceOf } from '../../support/tables.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()))
})

async function start(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const registry = await startFakeRegistry(options)
  closing.push(() => registry.close())
  return registry
}

interface Rig {
  readonly settings?: readonly RegistrySettings[]
  readonly own?: ProbeCredential[]
  readonly network?: Network
  readonly answerMs?: number
  readonly clientCertificate?: ClientCertificate
}

function proberFor({
  settings = [],
  own = [],
  network = systemNetwork,
  answerMs = 5_000,
  clientCertificate,
}: Rig): Prober {
  const prober = createProber({
    config: { registries: new Map(settings.map((each) => [each.host, each])) },
    keychainFor: () => ({ lookup: () => Promise.resolve(own) }),
    network,
    now: () => Date.now(),
    answerMs,
    clientCertificateFor: () => (clientCertificate === undefined ? null : () => clientCertificate),
  })
  closing.push(() => prober.close())
  return prober
}

const puller = credential('puller', 'CANARY')

function credential(username: string, password: string): ProbeCredential {
  return {
    by: 'pod',
    secret: `${username}-secret`,
    source: `secret ${username}-secret`,
    username,
    password,
  }
}

const denied =
  'failed to resolve reference "r.example/team/app:1": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed'
const absent = 'failed to resolve reference "r.example/team/app:1": r.example/team/app:1: not found'

/** Probes r.example/team/app:1 at the given registry, and applies the report. */
async function diagnose(
  message: string,
  registry: FakeRegistry,
  { credentials = [], own = [] }: { credentials?: ProbeCredential[]; own?: ProbeCredential[] } = {},
): Promise<{ verdict: PullVerdict; report: ProbeReport }> {
  const settings = registryAt(registry.url, { host: 'r.example', allowPlainHttpAuth: true })
  const prober = proberFor({ settings: [settings], own })
  const fromMessage = diagnoseMessage(message, null)
  const report = await prober.probe(
    referenceOf('r.example/team/app:1'),
    fromMessage.rule,
    credentials,
  )
  if (report === null) throw new Error('nothing was probed')
  const verdict = applyProbe(fromMessage, report)
  expect(JSON.stringify(verdict)).not.toContain('CANARY')
  return { verdict, report }
}

describe('private or missing', () => {
  it('proves a missing tag by a 404 to an anonymous token, and suggests only tags that exist', async () => {
    const registry = await start({ auth: { kind: 'bearer' } })
    registry.addManifest({ repository: 'team/app', tag: '1.0' })
    registry.behave(({ path }) =>
      path.includes('/tags/list')
        ? { status: 200, body: JSON.stringify({ tags: ['1.0', '1.1', 'gone'] }) }
        : null,
    )

    const { verdict } = await diagnose(absent, registry)

    expect(verdict).toMatchObject({ rule: { id: 'D37' }, certainty: 'proved' })
    expect(verdict.fix).toContain('use a tag that exists: 1.0;')
    expect(verdict.fix).not.toContain('1.1')
    // A GET of a manifest that exists would count as a pull.
    const pulls = registry.requests.filter(
      ({ method, path }) => method === 'GET' && path.endsWith('/manifests/1.0'),
    )
    expect(pulls).toEqual([])
  })

  it('proves a missing repository if there is no list of tags', async () => {
    const registry = await start()

    expect((await diagnose(absent, registry)).verdict).toMatchObject({
      rule: { id: 'D38' },
      certainty: 'proved',
    })
  })

  it('stays ambiguous after an anonymous 401, and says which credential would decide', async () => {
    const registry = await start({ auth: { kind: 'bearer', users: { puller: 'CANARY' } } })

    const { verdict } = await diagnose(denied, registry)

    expect(verdict).toMatchObject({ rule: { id: 'D28' }, certainty: 'ambiguous' })
    expect(verdict.missing.join()).toContain('a credential that may read the repository')
  })

  it('proves a missing tag by a 404 to an accepted credential', async () => {
    const registry = await start({ auth: { kind: 'basic', users: { puller: 'CANARY' } } })
    registry.behave(({ path }) =>
      path.includes('/tags/list') ? { status: 200, body: '{"tags":["2"]}' } : null,
    )

    const { verdict } = await diagnose(denied, registry, { credentials: [puller] })

    expect(verdict).toMatchObject({ rule: { id: 'D37' }, certainty: 'proved', secrets: [] })
  })

  it("proves a missing credential by a 200 to Berth's own credential", async () => {
    const registry = await start({ auth: { kind: 'bearer', users: { puller: 'CANARY' } } })
    registry.addManifest({ repository: 'team/app', tag: '1' })

    const { verdict } = await diagnose(denied, registry, {
      own: [{ ...puller, by: 'other', secret: null }],
    })

    expect(verdict).toMatchObject({ rule: { id: 'D22' }, certainty: 'proved' })
  })

  it('names a credential that the registry refuses', async () => {
    const registry = await start({ auth: { kind: 'bearer', users: { puller: 'CANARY' } } })
    const stale = credential('puller', 'CANARY-old')

    const { verdict } = await diagnose(denied, registry, { credentials: [stale] })

    expect(verdict).toMatchObject({
      rule: { id: 'D25' },
      certainty: 'proved',
      secrets: ['puller-secret'],
    })
  })

  it('suggests to remove a stale credential from a public image', async () => {
    const registry = await start({ auth: { kind: 'bearer', users: {}, anonymous: true } })
    registry.addManifest({ repository: 'team/app', tag: '1' })

    const { verdict } = await diagnose(denied, registry, { credentials: [puller] })

    expect(verdict.rule.id).toBe('D25')
    expect(verdict.fix).toContain('the image is public')
  })

  it('becomes ambiguous if the image exists', async () => {
    const registry = await start()
    registry.addManifest({ repository: 'team/app', tag: '1' })

    const { verdict } = await diagnose(absent, registry)

    expect(verdict).toMatchObject({ rule: { id: 'D40' }, certainty: 'ambiguous' })
    expect(verdict.missing.join()).toContain('hosts.toml')
  })
})

it("reports why Berth's own credential is not available, for ECR with the broken role of the chain", async () => {
  const registry = await start({ auth: { kind: 'basic', users: {} } })
  const settings = registryAt(registry.url, { host: 'r.example' })
  const broken = new BerthError('credentials-invalid', 'role B may not be assumed by role A')
  const prober = createProber({
    config: { registries: new Map([[settings.host, settings]]) },
    keychainFor: () => ({ lookup: () => Promise.reject(broken) }),
    now: () => Date.now(),
  })
  closing.push(() => prober.close())

  const report = await prober.probe(
    referenceOf('r.example/team/app:1'),
    ruleByCause('no-credential'),
    [],
  )

  expect(report?.attempts.map(({ source, outcome }) => `${source}: ${outcome}`)).toEqual([
    'anonymous: refused',
    "Berth's own: role B may not be assumed by role A: unasked",
  ])
})

describe('a registry behind a proxy', () => {
  /** Probes a name that only the proxy can resolve. */
  async function probeThrough(proxy: FakeProxy, registry: FakeRegistry, host = 'r.invalid') {
    const settings = registryAt(registry.url.replace('127.0.0.1', host), {
      host: 'r.example',
      allowPlainHttpAuth: true,
    })
    const prober = createProber({
      config: { registries: new Map([[settings.host, settings]]) },
      keychainFor: () => ({ lookup: () => Promise.resolve([]) }),
      proxyRules: proxyRulesFromEnvironment({ HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url }),
      now: () => Date.now(),
    })
    closing.push(() => prober.close())
    const fromMessage = diagnoseMessage(absent, null)
    const report = await prober.probe(referenceOf('r.example/team/app:1'), fromMessage.rule, [
      puller,
    ])
    if (report === null) throw new Error('nothing was probed')
    return { report, verdict: applyProbe(fromMessage, report) }
  }

  async function startProxy(options: FakeProxyOptions = {}): Promise<FakeProxy> {
    const proxy = await startFakeProxy(options)
    closing.push(() => proxy.close())
    return proxy
  }

  it.each([['http'], ['https']])(
    'is probed through it, which the evidence says (%s)',
    async (scheme) => {
      const proxy = await startProxy()
      const tls = scheme === 'https' ? await createTestCertificate(['r.invalid']) : undefined
      const registry = await start(tls === undefined ? {} : { tls })
      registry.addManifest({ repository: 'team/app', tag: '1' })
      const { report, verdict } = await probeThrough(proxy, registry)

      expect(report).toMatchObject({ proxy: proxy.url, fault: null, addresses: [] })
      expect(report.certificate?.names ?? []).toEqual(tls === undefined ? [] : ['r.invalid'])
      expect(verdict.evidence.map(({ says }) => says).join()).toContain(
        `was probed through the proxy ${proxy.url}`,
      )
    },
  )

  it('gets no credentials over plain HTTP through a proxy of the environment', async () => {
    const proxy = await startProxy()
    const registry = await start({ auth: { kind: 'basic', users: { puller: 'CANARY' } } })
    const { report } = await probeThrough(proxy, registry)

    expect(report.attempts[1]).toMatchObject({
      outcome: 'unasked',
      detail: expect.stringContaining(
        `through the proxy ${proxy.url} of the environment`,
      ) as string,
    })
    expect(proxy.headers.filter(({ authorization }) => authorization !== undefined)).toEqual([])
  })

  it('is not blamed for the failure of the proxy', async () => {
    const proxy = await startProxy({ answer: 'HTTP/1.1 403 Filtered\r\n\r\n' })
    const registry = await start({ tls: await createTestCertificate(['r.invalid']) })
    const { report, verdict } = await probeThrough(proxy, registry)

    expect(report).toMatchObject({ fault: 'proxy', attempts: [] })
    expect(verdict.certainty).not.toBe('proved')
    expect(verdict.evidence.map(({ says }) => says)).toContain(
      `the proxy ${proxy.url} does not allow connections to r.invalid:${new URL(registry.url).port} (403)`,
    )
  })
})

describe('a 403 to HEAD, which has no body', () => {
  const ecr = 'https://111122223333.dkr.ecr.us-east-1.amazonaws.com/v2/team/app/manifests/1'
  const message = `unexpected status from HEAD request to ${ecr}: 403 Forbidden`
  const answer = (text: string) => ({
    status: 403,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ errors: [{ code: 'DENIED', message: text }] }),
  })

  it('proves an expired token by the body of GET', async () => {
    const registry = await start({
      auth: { kind: 'basic', users: { AWS: 'CANARY' } },
      behave: ({ headers }) =>
        headers.authorization === undefined
          ? null
          : answer('Your authorization token has expired. Reauthenticate and try again.'),
    })
    const credentials = [credential('AWS', 'CANARY')]

    const { verdict } = await diagnose(message, registry, { credentials })

    expect(verdict).toMatchObject({
      rule: { id: 'D21' },
      certainty: 'proved',
      secrets: ['AWS-secret'],
    })
    expect(registry.requests.map(({ method }) => method)).toContain('GET')
  })

  it('stays ambiguous without that', async () => {
    const registry = await start({ behave: () => answer('not authorized') })

    expect((await diagnose(message, registry)).verdict).toMatchObject({
      rule: { id: 'D77' },
      certainty: 'ambiguous',
    })
  })
})

describe('rate limits', () => {
  it('are proved by a 429, with HEAD requests only', async () => {
    const registry = await start({
      behave: () => ({ status: 429, headers: { 'retry-after': '60' } }),
    })

    const { verdict, report } = await diagnose('429 Too Many Requests: toomanyrequests', registry)

    expect(verdict).toMatchObject({ rule: { id: 'D20' }, certainty: 'proved' })
    expect(report.attempts[0]?.detail).toContain('retry after 60 s')
    expect(registry.requests.map(({ method }) => method)).toEqual(['HEAD'])
  })

  it("are read from Docker Hub's preview repository with HEAD", async () => {
    const registry = await start({
      behave: ({ path }) => ({
        status: path.includes('ratelimitpreview') ? 200 : 429,
        headers: { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '0;w=21600' },
      }),
    })
    const settings = registryAt(registry.url, { host: 'docker.io' })
    const report = await proberFor({ settings: [settings] }).probe(
      referenceOf('nginx'),
      ruleByCause('rate-limited'),
      [],
    )

    expect(report?.quota).toEqual({ limit: '100;w=21600', remaining: '0;w=21600' })
    expect(registry.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'HEAD /v2/library/nginx/manifests/latest',
      'HEAD /v2/ratelimitpreview/test/manifests/latest',
    ])
  })
})

describe('the endpoint', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'is examined without the client certificate, which the requests send (%s)',
    async (maxVersion) => {
      const [server, { ca, client }] = await Promise.all([
        createTestCertificate(),
        makeClientCertificate('berth.example'),
      ])
      const wanted = { requestCert: true, rejectUnauthorized: true, ca: ca.cert, maxVersion }
      const registry = await start({ tls: { ...server, ...wanted } })
      registry.addManifest({ repository: 'team/app', tag: '1' })
      const settings = registryAt(registry.url, { host: 'r.example', ca: server.cert })
      const options = {
        network: systemNetwork,
        now: Date.now,
        answerMs: 5_000,
        proxyFor: noProxyRules,
        proxyCas: null,
        hasClientCertificate: true,
      }
      const prober = proberFor({ settings: [settings], clientCertificate: client })
      const report = await prober.probe(
        referenceOf('r.example/team/app:1'),
        ruleByCause('private-or-missing'),
        [],
      )

      expect(report).toMatchObject({ fault: null, attempts: [{ outcome: 'found' }] })
      expect(await probeEndpoint(settings.endpoint, options)).toMatchObject({ fault: null })
      const without = { ...options, hasClientCertificate: false }
      expect(await probeEndpoint(settings.endpoint, without)).toMatchObject({
        fault: maxVersion === 'TLSv1.2' ? 'client-certificate' : null,
      })
    },
  )

  it('gets no client certificate when its own, untrusted certificate is examined', async () => {
    const [server, { client }] = await Promise.all([
      createTestCertificate(),
      makeClientCertificate('berth.example'),
    ])
    const seen: string[] = []
    const listener = createTlsServer(
      { ...server, requestCert: true, rejectUnauthorized: false, maxVersion: 'TLSv1.2' },
      (socket) => {
        seen.push(socket.getPeerX509Certificate()?.subjectAltName ?? 'none')
        socket.on('error', () => undefined)
      },
    )
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    closing.push(async () => void listener.close())
    const { port } = listener.address() as AddressInfo
    const settings = registryAt(`https://127.0.0.1:${port}`, { host: 'r.example' })
    const prober = proberFor({ settings: [settings], clientCertificate: client })
    await prober.probe(referenceOf('r.example/team/app:1'), ruleByCause('private-or-missing'), [])

    await expect.poll(() => seen.length).toBeGreaterThan(0)
    expect(seen[0]).toBe('none')
  })

  it('proves an untrusted certificate and a certificate for another name', async () => {
    const registry = await start({ tls: await createTestCertificate(['other.example']) })

    const unknownCa = await diagnose('x509: certificate signed by unknown authority', registry)
    const wrongName = await diagnose(
      'x509: certificate is valid for other.example, not r.example',
      registry,
    )

    expect(unknownCa.verdict).toMatchObject({ rule: { id: 'D47' }, certainty: 'proved' })
    expect(unknownCa.report.certificate?.problems).toEqual(['unknown-ca', 'wrong-name'])
    expect(wrongName.verdict).toMatchObject({ rule: { id: 'D48' }, certainty: 'proved' })
    expect(unknownCa.report.certificate).toMatchObject({
      issuer: 'fake registry',
      names: ['other.example'],
    })
  })

  it('accepts the name of a certificate for its address', async () => {
    const registry = await start({ tls: await createTestCertificate() })

    const { report } = await diagnose('x509: certificate signed by unknown authority', registry)

    expect(report.certificate).toMatchObject({ names: ['127.0.0.1'], problems: ['unknown-ca'] })
  })

  it('proves a name without an address, a port without a listener, and a host without an answer', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    closing.push(async () => void silent.close())
    const { port } = silent.address() as AddressInfo
    const settings = [
      registryAt('https://nowhere.invalid', { host: 'nowhere.example' }),
      registryAt('http://127.0.0.1:1', { host: 'down.example' }),
      registryAt(`https://127.0.0.1:${port}`, { host: 'silent.example' }),
    ]
    const prober = proberFor({ settings, answerMs: 100 })
    const probe = async (host: string, message: string) => {
      const fromMessage = diagnoseMessage(message, null)
      const report = await prober.probe(referenceOf(`${host}/team/app:1`), fromMessage.rule, [])
      return report === null ? null : applyProbe(fromMessage, report)
    }

    expect(await probe('nowhere.example', 'dial tcp: lookup x: no such host')).toMatchObject({
      rule: { id: 'D50' },
      certainty: 'proved',
    })
    expect(
      await probe('down.example', 'dial tcp 10.0.0.1:80: connect: connection refused'),
    ).toMatchObject({ rule: { id: 'D52' }, certainty: 'proved' })
    expect(await probe('silent.example', 'net/http: TLS handshake timeout')).toMatchObject({
      rule: { id: 'D53' },
      certainty: 'proved',
    })
  })

  it('gets no credential over plain HTTP if the config does not list it', async () => {
    const registry = await start({ auth: { kind: 'basic', users: { puller: 'CANARY' } } })
    // Makes the prober treat this machine's address as one of the network.
    const network: Network = { ...systemNetwork, ipRangeOf: () => 'private' }
    const message = 'http: server gave HTTP response to HTTPS client'
    const fromMessage = diagnoseMessage(message, null)
    const image = referenceOf(`${registry.host}/team/app:1`)
    const report = await proberFor({ network }).probe(image, fromMessage.rule, [puller])

    expect(report).not.toBeNull()
    expect(applyProbe(fromMessage, report as ProbeReport)).toMatchObject({
      rule: { id: 'D45' },
      certainty: 'proved',
    })
    expect(report?.attempts).toContainEqual(
      expect.objectContaining({ by: 'pod', outcome: 'unasked' }),
    )
    expect(registry.requests.every(({ headers }) => headers.authorization === undefined)).toBe(true)
  })

  it('is not probed at an address of this machine if the config does not list it', async () => {
    const registry = await start()
    const image = referenceOf(`${registry.host}/team/app:1`)

    const report = await proberFor({}).probe(image, ruleByCause('not-found'), [puller])

    expect(report).toMatchObject({ fault: 'off-limits', attempts: [] })
    expect(registry.requests).toEqual([])
  })

  it('sends no credential to a token server that is not known for it', async () => {
    const registry = await start({
      auth: { kind: 'bearer', users: { puller: 'CANARY' }, separate: true },
    })

    const { report } = await diagnose(denied, registry, { credentials: [puller] })

    expect(report.attempts.map(({ outcome }) => outcome)).toEqual(['unasked', 'unasked'])
    expect(registry.requests.filter(({ server }) => server === 'token')).toEqual([])
  })
})

describe('blobs', () => {
  const config = `sha256:${'a'.repeat(64)}`
  const layer = `sha256:${'b'.repeat(64)}`
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { digest: config },
    layers: [{ digest: layer }],
  })

  it('are proved to be missing', async () => {
    const registry = await start()
    registry.addManifest({ repository: 'team/app', tag: '1', body: manifest })
    registry.behave(({ path }) => (path.endsWith(config) ? { status: 200 } : null))

    const { verdict, report } = await diagnose('failed to fetch content: blob unknown', registry)

    expect(verdict).toMatchObject({ rule: { id: 'D39' }, certainty: 'proved' })
    expect(report.blobs).toEqual({ asked: 2, missing: [layer] })
  })

  it('are not probed at Docker Hub, where that counts as a pull', async () => {
    const registry = await start()
    registry.addManifest({ repository: 'team/app', tag: '1', body: manifest })
    const settings = registryAt(registry.url, { host: 'docker.io' })

    const report = await proberFor({ settings: [settings] }).probe(
      referenceOf('team/app:1'),
      ruleByCause('blob-missing'),
      [],
    )

    expect(report?.blobs).toBeNull()
    expect(registry.requests.map(({ method }) => method)).toEqual(['HEAD'])
  })
})

it('a thousand pods with one image probe once for each credential', async () => {
  const registry = await start({ auth: { kind: 'basic', users: { puller: 'CANARY' } } })
  registry.addManifest({ repository: 'team/app', tag: '1' })
  const settings = registryAt(registry.url, { host: 'r.example', allowPlainHttpAuth: true })
  const prober = proberFor({ settings: [settings] })

  await Promise.all(
    Array.from({ length: 1_000 }, () =>
      prober.probe(referenceOf('r.example/team/app:1'), ruleByCause('rate-limited'), [puller]),
    ),
  )

  // Anonymous; then with the credential, after the challenge.
  expect(registry.requests).toHaveLength(3)
})
