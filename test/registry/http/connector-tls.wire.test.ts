import { afterEach, describe, expect, it } from 'vitest'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'
import { createTestCertificate } from '../../support/registry-tls.ts'
import {
  ask,
  type Client,
  createClient,
  credential,
  registryAt,
} from '../../support/manifest-source.ts'

const open: (Client | FakeRegistry)[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

async function start(names?: readonly string[]) {
  const tls = await createTestCertificate(names)
  const registry = await startFakeRegistry({
    tls,
    auth: { kind: 'bearer', users: { user: 'right' }, separate: true },
  })
  registry.addManifest({ repository: 'team/app', tag: '1' })
  open.push(registry)
  return { registry, ca: tls.cert }
}

describe('a registry with a private CA', () => {
  it('is trusted with that CA, and so is its token server', async () => {
    const { registry, ca } = await start()
    const settings = registryAt(registry.url, { ca, authHosts: [registry.tokenHost] })
    const client = createClient([settings], { credentials: [credential('right')] })
    open.push(client)

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found' })
  })

  it('is not trusted without its CA, or with the CA of another registry', async () => {
    const { registry, ca } = await start()
    const client = createClient([
      registryAt(registry.url),
      registryAt('https://other.example', { ca }),
    ])
    open.push(client)

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'unreachable',
      detail: 'certificate signed by unknown authority',
      hasNoConnection: true,
    })
    expect(registry.requests).toEqual([])
  })

  it('is not trusted if its certificate is for another name', async () => {
    const { registry, ca } = await start(['other.example'])
    const client = createClient([registryAt(registry.url, { ca })])
    open.push(client)

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'unreachable',
      detail: 'certificate is not for 127.0.0.1',
      hasNoConnection: true,
    })
  })
})

describe('an endpoint with the wrong scheme', () => {
  it('is reported if the registry does not use TLS', async () => {
    const registry = await startFakeRegistry()
    const client = createClient([registryAt(`https://${registry.host}`)])
    open.push(client, registry)

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'unreachable',
      detail: `no TLS on ${registry.host}; if it serves plain HTTP, set an http endpoint`,
      hasNoConnection: true,
    })
  })

  it('is reported if the registry uses TLS', async () => {
    const { registry } = await start()
    const client = createClient([registryAt(`http://${registry.host}`)])
    open.push(client)

    expect(await ask(client, registry.host)).toMatchObject({
      detail: expect.stringContaining(registry.host) as string,
    })
  })
})
