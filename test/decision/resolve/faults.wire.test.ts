import { afterEach, describe, expect, it } from 'vitest'
import { formatReference } from '../../../src/decision/reference/reference.ts'
import type { RegistrySettings } from '../../../src/registry/http/registry-settings.ts'
import { createManifestCache } from '../../../src/decision/resolve/manifest-cache.ts'
import { createCircuitBreakers } from '../../../src/decision/resolve/circuit-breaker.ts'
import { resolve } from '../../../src/decision/resolve/resolve.ts'
import { describeResolution } from '../../../src/decision/resolve/describe-resolution.ts'
import { type FakeRegistry, manifestType, startFakeRegistry } from '../../support/registry.ts'
import type { Behaviour, LoggedRequest } from '../../support/registry-behaviour.ts'
import { type Client, createClient, registryAt } from '../../support/manifest-source.ts'
import { createTestCertificate } from '../../support/registry-tls.ts'
import { barePod, referenceOf, tableOf } from '../../support/tables.ts'

/** How a registry answers: always in one way, or depending on the request. */
type How = Behaviour | ((request: LoggedRequest) => Behaviour | null)

interface Fault {
  readonly how?: How
  /** Changes to the settings of the registry. */
  readonly settings?: (registry: FakeRegistry) => Partial<RegistrySettings>
  readonly tls?: 'self-signed' | 'wrong-name'
  readonly lookupError?: string
}

/** Rejects HEAD, so that Berth sends GET, and then behaves like this. */
const onGet = (behaviour: Behaviour) => (request: LoggedRequest) =>
  request.method === 'HEAD' ? { status: 405 } : behaviour

const digest = `sha256:${'c'.repeat(64)}`

const faults: readonly (readonly [name: string, fault: Fault, outcome: string])[] = [
  ['a missing tag', { how: { status: 404 } }, 'absent (404)'],
  [
    'a denied anonymous request',
    { how: { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } } },
    'denied (',
  ],
  ['a 401 without a challenge', { how: { status: 401 } }, 'denied ('],
  ['a 403', { how: { status: 403 } }, 'denied (403'],
  ['a rate limit', { how: { status: 429 } }, 'limited (429'],
  [
    'a rate limit with Retry-After',
    { how: { status: 429, headers: { 'retry-after': '60' } } },
    'limited (429, retry after 60 s)',
  ],
  ['a 400', { how: { status: 400 } }, 'invalid (400'],
  ['a 418', { how: { status: 418 } }, 'invalid (418'],
  ['a 500', { how: { status: 500 } }, 'unreachable (500'],
  ['a 502', { how: { status: 502 } }, 'unreachable (502'],
  ['a 503', { how: { status: 503 } }, 'unreachable (503'],
  ['a 504', { how: { status: 504 } }, 'unreachable (504'],
  ['a name that does not resolve', { lookupError: 'ENOTFOUND' }, 'unreachable (no such host'],
  ['an unreachable name server', { lookupError: 'EAI_AGAIN' }, 'unreachable (no DNS server'],
  [
    'a refused connection',
    { settings: () => ({ endpoint: new URL('http://127.0.0.1:1') }) },
    'unreachable (ECONNREFUSED',
  ],
  [
    'plain HTTP in place of TLS',
    { settings: ({ host }) => ({ endpoint: new URL(`https://${host}`) }) },
    'unreachable (no TLS',
  ],
  [
    'a self-signed certificate',
    { tls: 'self-signed' },
    'unreachable (certificate signed by unknown authority)',
  ],
  ['a certificate for another host', { tls: 'wrong-name' }, 'unreachable (certificate is not for'],
  ['no answer', { how: { hang: 'before-headers' } }, 'timeout ('],
  ['a body that stops', { how: onGet({ hang: 'mid-body' }) }, 'timeout ('],
  ['a body of one byte at a time', { how: onGet({ drip: true }) }, 'timeout ('],
  ['a reset connection', { how: onGet({ cut: true }) }, 'unreachable ('],
  ['a closed connection', { how: { raw: '' } }, 'unreachable ('],
  ['another protocol', { how: { raw: 'SSH-2.0-OpenSSH_9.6\r\n' } }, 'invalid ('],
  [
    'a web page',
    { how: { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' } },
    'invalid (',
  ],
  [
    'a malformed digest',
    { how: onGet({ headers: { 'docker-content-digest': 'sha1:x' }, body: 'x' }) },
    'invalid (',
  ],
  [
    'a digest that does not match the body',
    {
      how: onGet({
        status: 200,
        headers: { 'docker-content-digest': digest, 'content-type': manifestType },
        body: '{}',
      }),
    },
    'invalid (',
  ],
  [
    'a schema 1 image',
    {
      how: {
        status: 200,
        headers: { 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' },
        body: '{}',
      },
    },
    'invalid (',
  ],
  [
    'an endless manifest',
    { how: onGet({ endless: true, headers: { 'content-type': manifestType } }) },
    'invalid (',
  ],
  ['a gzip bomb', { how: onGet({ gzipBomb: true }) }, 'invalid ('],
  [
    'a redirect loop',
    { how: { status: 307, headers: { location: '/v2/team/app/manifests/1' } } },
    'invalid (',
  ],
  [
    'a redirect to the metadata service',
    { how: { status: 307, headers: { location: 'http://169.254.169.254/' } } },
    'invalid (',
  ],
  [
    'a token server on another host',
    {
      how: {
        status: 401,
        headers: { 'www-authenticate': 'Bearer realm="http://evil.example/token"' },
      },
    },
    'denied (',
  ],
]

const positions = [0, 1, 2] as const
const opened: { close(): Promise<void> }[] = []

afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close()
})

async function startFaulty(
  fault: Fault,
): Promise<{ settings: RegistrySettings; registry: FakeRegistry }> {
  const certificate =
    fault.tls === undefined
      ? null
      : await createTestCertificate(
          fault.tls === 'wrong-name' ? ['other.example'] : ['127.0.0.1', 'localhost'],
        )
  const registry = await startFakeRegistry(certificate === null ? {} : { tls: certificate })
  opened.push(registry)
  registry.addManifest({ repository: 'team/app', tag: '1' })
  const { how } = fault
  if (how !== undefined) registry.behave(typeof how === 'function' ? how : () => how)
  const trusted = fault.tls === 'wrong-name' && certificate !== null ? { ca: certificate.cert } : {}
  const lost =
    fault.lookupError === undefined ? {} : { endpoint: new URL('http://nowhere.example') }
  return {
    registry,
    settings: registryAt(registry.url, {
      mirror: true,
      ...trusted,
      ...lost,
      ...fault.settings?.(registry),
    }),
  }
}

/** Resolves with three candidates: those before the faulty one are absent, those after it are found. */
async function decideWith(fault: Fault, position: number, queryTimeoutMs: number) {
  const entries: RegistrySettings[] = []
  const hosts: string[] = []
  for (const place of positions) {
    const plain: Fault = place < position ? { how: { status: 404 } } : {}
    const { settings } = await startFaulty(place === position ? fault : plain)
    const host = `m${place}.example`
    hosts.push(host)
    entries.push({ ...settings, host })
  }
  const client: Client = createClient(entries, {
    network:
      fault.lookupError === undefined
        ? {}
        : {
            lookup: (_, done) => done(Object.assign(new Error(), { code: fault.lookupError }), []),
          },
  })
  opened.push(client)
  const now = () => performance.now()
  const resolution = await resolve(
    {
      queryManifest: createManifestCache(createCircuitBreakers(now).guard(client), {
        now,
        queryTimeoutMs,
      }),
      isListed: (host) => client.isListed(host),
      isProbed: (host) => client.isProbed(host),
      now,
    },
    {
      table: tableOf(hosts, [
        { name: 'row', images: ['docker.io/team/app'], try: hosts.map((host) => `${host}/{path}`) },
      ]),
      pin: { matches: () => false, unresolved: 'keep' },
    },
    {
      reference: referenceOf('team/app:1'),
      pod: barePod,
      signal: AbortSignal.timeout(20_000),
    },
  )
  return {
    chosen: resolution.changed ? formatReference(resolution.chosen) : null,
    why: describeResolution(resolution),
  }
}

it('tests at least 72 combinations', () => {
  expect(faults.length * positions.length).toBeGreaterThanOrEqual(72)
})

describe.each(faults)('a registry with %s', (_, fault, outcome) => {
  it.each(positions)('at position %i is not taken', async (position) => {
    const { chosen, why } = await decideWith(
      fault,
      position,
      outcome.startsWith('timeout') ? 150 : 10_000,
    )

    expect(chosen).toBe([`m1.example/team/app:1`, `m2.example/team/app:1`, null][position])
    expect(why).toContain(`m${position}.example ${outcome}`)
    expect(why.startsWith('m0.example ')).toBe(true)
    expect(why).toMatch(
      position === 2 ? /; not found; image unchanged$/ : /; found on m[12]\.example$/,
    )
  })
})
