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
import { referenceOf, tableOf } from '../../support/tables.ts'

/** A registry that answers always in one way. */
type How = Behaviour | ((request: LoggedRequest) => Behaviour | null)

interface Fault {
  readonly how?: How
  /** Changes to the entry under `registries`. */
  readonly settings?: (registry: FakeRegistry) => Partial<RegistrySettings>
  readonly tls?: 'self-signed' | 'wrong-name'
  readonly lookupError?: string
}

/** HEAD sends us to GET, and GET does this. */
const onGet = (behaviour: Behaviour) => (request: LoggedRequest) =>
  request.method === 'HEAD' ? { status: 405 } : behaviour

const digest = `sha256:${'c'.repeat(64)}`

const faults: readonly (readonly [name: string, fault: Fault, outcome: string])[] = [
  ['no such tag', { how: { status: 404 } }, 'absent (404)'],
  [
    'no right without a credential',
    { how: { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } } },
    'denied (',
  ],
  ['no challenge in its 401', { how: { status: 401 } }, 'denied ('],
  ['no right at all', { how: { status: 403 } }, 'denied (403'],
  ['a rate limit', { how: { status: 429 } }, 'limited (429'],
  [
    'a rate limit with a time',
    { how: { status: 429, headers: { 'retry-after': '60' } } },
    'limited (429, retry after 60 s)',
  ],
  ['a bad request', { how: { status: 400 } }, 'invalid (400'],
  ['a teapot', { how: { status: 418 } }, 'invalid (418'],
  ['an internal error', { how: { status: 500 } }, 'unreachable (500'],
  ['a bad gateway', { how: { status: 502 } }, 'unreachable (502'],
  ['an outage', { how: { status: 503 } }, 'unreachable (503'],
  ['a gateway timeout', { how: { status: 504 } }, 'unreachable (504'],
  ['a name that does not resolve', { lookupError: 'ENOTFOUND' }, 'unreachable (no such host'],
  ['no name server', { lookupError: 'EAI_AGAIN' }, 'unreachable (no name server'],
  [
    'a refused connection',
    { settings: () => ({ endpoint: new URL('http://127.0.0.1:1') }) },
    'unreachable (ECONNREFUSED',
  ],
  [
    'plain HTTP where TLS is spoken',
    { settings: ({ host }) => ({ endpoint: new URL(`https://${host}`) }) },
    'unreachable (no TLS',
  ],
  [
    'a certificate of its own',
    { tls: 'self-signed' },
    'unreachable (certificate signed by unknown authority)',
  ],
  ['a certificate for another', { tls: 'wrong-name' }, 'unreachable (certificate is not for'],
  ['silence', { how: { hang: 'before-headers' } }, 'timeout ('],
  ['silence in the middle', { how: onGet({ hang: 'mid-body' }) }, 'timeout ('],
  ['one byte at a time', { how: onGet({ drip: true }) }, 'timeout ('],
  ['a connection that is cut', { how: onGet({ cut: true }) }, 'unreachable ('],
  ['a hang-up', { how: { raw: '' } }, 'unreachable ('],
  ['another protocol', { how: { raw: 'SSH-2.0-OpenSSH_9.6\r\n' } }, 'invalid ('],
  [
    'a web page',
    { how: { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' } },
    'invalid (',
  ],
  [
    'a digest that is none',
    { how: onGet({ headers: { 'docker-content-digest': 'sha1:x' }, body: 'x' }) },
    'invalid (',
  ],
  [
    "a digest that is not the body's",
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
    'a manifest without end',
    { how: onGet({ endless: true, headers: { 'content-type': manifestType } }) },
    'invalid (',
  ],
  ['a compressed bomb', { how: onGet({ gzipBomb: true }) }, 'invalid ('],
  [
    'a circle of redirects',
    { how: { status: 307, headers: { location: '/v2/team/app/manifests/1' } } },
    'invalid (',
  ],
  [
    'a way to the metadata service',
    { how: { status: 307, headers: { location: 'http://169.254.169.254/' } } },
    'invalid (',
  ],
  [
    'a token from somebody else',
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

/** A row of three: candidates before the faulty one are absent, those behind it are there. */
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
      namespace: 'default',
      signal: AbortSignal.timeout(20_000),
    },
  )
  return {
    chosen: resolution.changed ? formatReference(resolution.chosen) : null,
    why: describeResolution(resolution),
  }
}

it('has faults enough', () => {
  expect(faults.length * positions.length).toBeGreaterThanOrEqual(72)
})

describe.each(faults)('a registry with %s (R1)', (_, fault, outcome) => {
  it.each(positions)('at place %i is passed by', async (position) => {
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
