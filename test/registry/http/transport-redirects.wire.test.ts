import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RegistrySettings } from '../../../src/registry/http/registry-settings.ts'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'
import { createTestCertificate } from '../../support/registry-tls.ts'
import {
  ask,
  type Client,
  createClient,
  credential,
  registryAt,
} from '../../support/manifest-source.ts'

let registry: FakeRegistry
let elsewhere: FakeRegistry
let digest: string
const clients: Client[] = []

beforeEach(async () => {
  registry = await startFakeRegistry()
  elsewhere = await startFakeRegistry()
  digest = elsewhere.addManifest({ repository: 'team/app', tag: '1' })
})

afterEach(async () => {
  await Promise.all([...clients.splice(0), registry, elsewhere].map((one) => one.close()))
})

function connect(settings: RegistrySettings) {
  const client = createClient([settings], { credentials: [credential('right')] })
  clients.push(client)
  return client
}

function redirectTo(location: string, status = 307) {
  registry.behave(() => ({ status, headers: { location } }))
}

describe('a redirect', () => {
  it.each([301, 302, 303, 307, 308])(
    'with status %d is followed with the same method',
    async (status) => {
      const client = connect(registryAt(registry.url))
      redirectTo(`${elsewhere.url}/v2/team/app/manifests/1`, status)

      expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found', digest })
      expect(elsewhere.requests.map(({ method }) => method)).toEqual(['HEAD'])
      expect(elsewhere.requests[0]?.headers.accept).toBe(registry.requests[0]?.headers.accept)
    },
  )

  it('keeps the credentials within the registry, and drops them for another origin', async () => {
    await registry.close()
    registry = await startFakeRegistry({ auth: { kind: 'basic', users: { user: 'right' } } })
    const client = connect(registryAt(registry.url, { allowPlainHttpAuth: true }))
    const path = '/v2/team/app/manifests/1'
    registry.behave(({ path: asked, headers }) => {
      if (headers.authorization === undefined) return null
      const location = asked.endsWith('?again') ? `${elsewhere.url}${path}` : `${path}?again`
      return { status: 307, headers: { location } }
    })

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found', digest })
    expect(registry.requests.map(({ headers }) => headers.authorization !== undefined)).toEqual([
      false,
      true,
      true,
    ])
    expect(elsewhere.requests.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })

  it('does not restore the credentials when it leads back to the registry', async () => {
    await registry.close()
    registry = await startFakeRegistry({ auth: { kind: 'basic', users: { user: 'right' } } })
    const client = connect(registryAt(registry.url, { allowPlainHttpAuth: true }))
    registry.behave(({ headers }) =>
      headers.authorization === undefined
        ? null
        : { status: 307, headers: { location: `${elsewhere.url}/away` } },
    )
    elsewhere.behave(() => ({
      status: 307,
      headers: { location: `${registry.url}/v2/team/app/manifests/1` },
    }))

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'denied' })
    expect(registry.requests.map(({ headers }) => headers.authorization !== undefined)).toEqual([
      false,
      true,
      false,
    ])
  })

  it('to a host that answers 401 is denied, and no token is requested', async () => {
    const client = connect(registryAt(registry.url, { allowPlainHttpAuth: true }))
    elsewhere.behave(() => ({ status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } }))
    redirectTo(elsewhere.url)

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'denied',
      detail: `401 (after a redirect to ${elsewhere.host}, which gets no credentials)`,
    })
    expect(JSON.stringify(elsewhere.requests)).not.toContain('Basic')
  })

  it.each([
    [10, 'found'],
    [11, 'invalid'],
  ])('follows up to ten in a row: %d are %s', async (count, outcome) => {
    const client = connect(registryAt(registry.url))
    registry.addManifest({ repository: 'team/app', tag: '1' })
    registry.behave(() => {
      const { length } = registry.requests
      if (length > count) return null
      return { status: 307, headers: { location: `/v2/team/app/manifests/1?hop=${length}` } }
    })

    const answer = await ask(client, registry.host)

    expect(answer.outcome).toBe(outcome)
    expect(registry.requests).toHaveLength(11)
  })

  it.each([
    ['', /without a valid Location header/],
    ['http://', /without a valid Location header/],
    ['ftp://a.example/', /neither http nor https/],
    ['file:///etc/passwd', /neither http nor https/],
    ['http://user:pass@a.example/', /contains a user or password/],
  ])('to %j is refused', async (location, detail) => {
    const client = connect(registryAt(registry.url))
    registry.behave(() => ({ status: 307, headers: location === '' ? {} : { location } }))

    const answer = await ask(client, registry.host)

    expect(answer).toEqual({ outcome: 'invalid', detail: expect.stringMatching(detail) as string })
    expect(JSON.stringify(answer)).not.toContain('pass@')
  })

  it('from https to plain HTTP is refused', async () => {
    const tls = await createTestCertificate()
    await registry.close()
    registry = await startFakeRegistry({ tls })
    const client = connect(registryAt(registry.url, { ca: tls.cert }))
    redirectTo(elsewhere.url)

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'invalid',
      detail: `the redirect to ${elsewhere.host} is from https to plain HTTP`,
    })
    expect(elsewhere.requests).toEqual([])
  })
})
