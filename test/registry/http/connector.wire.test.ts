import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isIP } from 'node:net'
import {
  type ResolvedAddress,
  type Network,
  systemNetwork,
} from '../../../src/registry/http/ip-ranges.ts'
import type { RegistrySettings } from '../../../src/registry/http/registry-settings.ts'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'
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

function connect(registries: readonly RegistrySettings[], network: Partial<Network> = {}) {
  const client = createClient(registries, { network, credentials: [credential('right')] })
  clients.push(client)
  return client
}

function redirectTo(location: string) {
  registry.behave(() => ({ status: 307, headers: { location } }))
}

/** All servers listen on loopback here, so the tests define which addresses are public. */
const internet: Pick<Network, 'ipRangeOf'> = {
  ipRangeOf: (address) => (address === '127.0.0.1' ? 'public' : 'private'),
}

/** Classifies the first address, which is that of the registry itself, as public, and all others as private. */
function firstIsPublic(): Pick<Network, 'ipRangeOf'> {
  let calls = 0
  return { ipRangeOf: () => (calls++ === 0 ? 'public' : 'private') }
}

const refused = {
  outcome: 'invalid',
  detail: expect.stringContaining('resolves to an internal address') as string,
}

describe('a redirect of a public registry', () => {
  it.each([
    'http://127.0.0.2:1/',
    'http://0x7f000002:1/',
    'http://2130706434:1/',
    'http://[::ffff:127.0.0.2]:1/',
    'http://[::1]:1/',
    'http://169.254.169.254/latest/meta-data/',
  ])('to %s is refused', async (location) => {
    const client = connect([registryAt(registry.url)], internet)
    redirectTo(location)

    expect(await ask(client, registry.host)).toMatchObject(refused)
  })

  it('is refused if a name resolves to a public address first and to a private one later', async () => {
    const answers: ResolvedAddress[] = [
      { address: '127.0.0.1', family: 4 },
      { address: '127.0.0.2', family: 4 },
    ]
    let asked = 0
    const client = connect([registryAt(registry.url)], {
      ...internet,
      lookup: (_, done) => done(null, answers.slice(asked, ++asked)),
    })
    const [, port] = elsewhere.host.split(':')
    redirectTo(`http://moving.example:${port}/v2/team/app/manifests/1`)
    elsewhere.behave(() => ({ headers: { connection: 'close' } }))

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found' })
    expect(await ask(client, registry.host)).toMatchObject(refused)
    expect([asked, elsewhere.requests.length]).toEqual([2, 1])
  })

  it('is refused if one of several addresses is private', async () => {
    const client = connect([registryAt(registry.url)], {
      ...internet,
      lookup: (_, done) =>
        done(null, [
          { address: '127.0.0.1', family: 4 },
          { address: '10.0.0.1', family: 4 },
        ]),
    })
    redirectTo(elsewhere.url.replace('127.0.0.1', 'two.example'))

    expect(await ask(client, registry.host)).toMatchObject(refused)
    expect(elsewhere.requests).toEqual([])
  })

  it.each([
    ['is allowed to a private address', true],
    ['is refused to a private address', false],
  ])('%s if the config lists the host: %s', async (_, isListed) => {
    const own = registryAt(registry.url)
    const listed = isListed ? [own, registryAt(elsewhere.url)] : [own]
    const client = connect(listed, firstIsPublic())
    redirectTo(`${elsewhere.url}/v2/team/app/manifests/1`)

    expect(await ask(client, registry.host)).toMatchObject(
      isListed ? { outcome: 'found' } : refused,
    )
  })

  it('is refused if the address of the registry itself becomes private later', async () => {
    const client = connect([registryAt(registry.url)], firstIsPublic())
    registry.behave(() => ({ status: 404, headers: { connection: 'close' } }))
    await ask(client, registry.host)
    redirectTo(`${elsewhere.url}/v2/team/app/manifests/1`)

    expect(await ask(client, registry.host)).toMatchObject(refused)
    expect(elsewhere.requests).toEqual([])
  })
})

/** The registry itself, on loopback, counts as a registry in a private network. */
const privateNetwork: Pick<Network, 'ipRangeOf'> = {
  ipRangeOf: (address) => (address === '127.0.0.1' ? 'private' : systemNetwork.ipRangeOf(address)),
}

describe('a redirect of a private registry', () => {
  it('is allowed to another private address', async () => {
    const client = connect([registryAt(registry.url)], privateNetwork)
    redirectTo(`${elsewhere.url}/v2/team/app/manifests/1`)

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found', digest })
  })

  it.each([
    '169.254.169.254',
    '169.254.170.2',
    '100.100.100.200',
    '192.0.0.192',
    '168.63.129.16',
    '127.0.0.2',
    '[fd00:ec2::254]',
    '[fd00:ec2::23]',
    '[fd20:ce::254]',
    '[fd00:c1::a9fe:a9fe]',
    '[fd00:a9fe:a9fe::1]',
    '[fd00:42::42]',
    '[fd00:100::100:200]',
    '[fe80::a9fe:a9fe]',
    '[fd12:3456:789a::1]',
    '[::ffff:169.254.169.254]',
    '[64:ff9b::a9fe:a9fe]',
    '[64:ff9b:1::a9fe:a9fe]',
    '[2002:a9fe:a9fe::]',
    '[2001:0:a9fe:a9fe::1]',
  ])('to %s is refused, also by name', async (host) => {
    const address = host.replaceAll(/[[\]]/g, '')
    const client = connect([registryAt(registry.url)], {
      ...privateNetwork,
      lookup: (_, done) => done(null, [{ address, family: isIP(address) }]),
    })
    redirectTo(`http://${host}/latest/meta-data/`)
    const byAddress = await ask(client, registry.host)
    redirectTo('http://metadata.example/latest/meta-data/')

    expect([byAddress, await ask(client, registry.host)]).toMatchObject([refused, refused])
  })

  it('is refused from a link-local or reserved registry to another address of that range', async () => {
    for (const range of ['link-local', 'reserved'] as const) {
      const client = connect([registryAt(registry.url)], { ipRangeOf: () => range })
      redirectTo(elsewhere.url)

      expect(await ask(client, registry.host)).toMatchObject(refused)
    }
  })
})

describe('a token server with a private address', () => {
  it('is contacted if the config lists it', async () => {
    await registry.close()
    registry = await startFakeRegistry({ auth: { kind: 'bearer', separate: true } })
    registry.addManifest({ repository: 'team/app', tag: '1' })
    const settings = registryAt(registry.url, { authHosts: [registry.tokenHost] })
    const client = connect([settings], firstIsPublic())

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found' })
  })

  it('is not contacted if Berth only knows its name', async () => {
    const [, port] = registry.host.split(':')
    const hub = registryAt(`http://hub.example:${port}`, { host: 'docker.io' })
    const lookups: string[] = []
    const client = connect([hub], {
      ...internet,
      lookup: (hostname, done) => {
        lookups.push(hostname)
        const address = hostname === 'hub.example' ? '127.0.0.1' : '169.254.169.254'
        done(null, [{ address, family: 4 }])
      },
    })
    registry.behave(() => ({
      status: 401,
      headers: { 'www-authenticate': 'Bearer realm="https://auth.docker.io/token"' },
    }))

    expect(await ask(client, 'docker.io')).toMatchObject(refused)
    expect(lookups).toEqual(['hub.example', 'auth.docker.io'])
  })
})
