import { afterEach, describe, expect, it } from 'vitest'
import { type ProbeDependencies, probeRegistry } from '../../src/init/probe-registry.ts'
import { noProxyRules } from '../../src/proxy/proxy-rules.ts'
import { systemNetwork } from '../../src/registry/http/ip-ranges.ts'
import { refuseLocalAddresses } from '../../src/registry/http/local-addresses.ts'
import { type ProductServer, products, startProduct } from '../support/product-server.ts'
import { createTestCertificate } from '../support/registry-tls.ts'

const dependencies: ProbeDependencies = {
  network: systemNetwork,
  proxyRules: noProxyRules,
  now: () => Date.now(),
  answerMs: 2_000,
}
let server: ProductServer | undefined

afterEach(() => server?.close())

describe('probeRegistry', () => {
  it.each([
    ['docker-registry', 'docker-registry', false],
    ['harbor', 'harbor', true],
    ['harbor with another token service', 'harbor', true],
    ['artifactory', 'artifactory', true],
    ['nexus', 'nexus', true],
    ['quay', 'quay', true],
  ] as const)('recognizes %s, and whether it requires a login', async (name, kind, needsLogin) => {
    server = await startProduct(products[name])

    expect(
      await probeRegistry({ host: server.host, endpoint: null, ca: null }, dependencies),
    ).toMatchObject({
      endpoint: new URL(`http://${server.host}`),
      kind,
      needsLogin,
      problem: null,
    })
    expect(server.requests).not.toContain('with credentials')
  })

  it('reports a certificate of an unknown CA, and trusts it with the CA', async () => {
    const tls = await createTestCertificate()
    server = await startProduct(products.harbor, tls)
    const address = { host: server.host, endpoint: null }

    const unknown = await probeRegistry({ ...address, ca: null }, dependencies)
    const known = await probeRegistry({ ...address, ca: tls.cert }, dependencies)

    expect(unknown).toMatchObject({
      certificate: ['unknown-ca'],
      problem: expect.stringContaining('not trusted'),
    })
    expect(known).toMatchObject({
      endpoint: new URL(`https://${server.host}`),
      kind: 'harbor',
      problem: null,
    })
  })

  it.each([
    ['nothing listens', '127.0.0.1:1', 'it refuses the connection'],
    ['the name has no address', 'no-such-host.invalid', 'its name has no address'],
  ])('says so if %s', async (_, host, problem) => {
    const facts = await probeRegistry({ host, endpoint: null, ca: null }, dependencies)

    expect(facts.problem).toBe(problem)
  })

  it.each(['169.254.169.254', 'metadata.example', 'local.example'])(
    'sends nothing to %s if only pods name it, and it leads to this machine or its link',
    async (host) => {
      server = await startProduct(products['docker-registry'])
      const address = host === 'local.example' ? '127.0.0.1' : '169.254.169.254'
      const network = {
        ...systemNetwork,
        lookup: (_: string, done: Parameters<typeof systemNetwork.lookup>[1]) =>
          done(null, [{ address, family: 4 }]),
      }
      const facts = await probeRegistry(
        { host: `${host}:${server.host.split(':')[1]}`, endpoint: null, ca: null },
        { ...dependencies, network: refuseLocalAddresses(network) },
      )

      expect(facts.problem).toBe(
        'Berth does not connect to its address (loopback, link-local or reserved)',
      )
      expect(server.requests).toEqual([])
    },
  )

  it('does not give up TLS for a registry on the internet', async () => {
    server = await startProduct(products['docker-registry'])
    const network = { ...systemNetwork, ipRangeOf: () => 'public' as const }
    const facts = await probeRegistry(
      { host: server.host, endpoint: null, ca: null },
      { ...dependencies, network },
    )

    expect(facts).toMatchObject({
      endpoint: new URL(`https://${server.host}`),
      problem: 'it does not use TLS',
    })
    expect(server.requests).toEqual([])
  })

  it('rejects a web server that is not a registry', async () => {
    server = await startProduct({
      '/v2/': { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' },
    })

    const facts = await probeRegistry({ host: server.host, endpoint: null, ca: null }, dependencies)

    expect(facts.problem).toBe('it is not a registry (status 200)')
  })
})
