import { createServer, get } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createProxyAgent } from '../../src/aws/proxy-agent.ts'
import { awsSdk } from '../../src/aws/sdk.ts'
import { proxyRulesFromEnvironment } from '../../src/proxy/proxy-rules.ts'
import { type FakeProxyOptions, startFakeProxy } from '../support/proxy.ts'
import { createTestCertificate } from '../support/registry-tls.ts'

const open: { close(): unknown }[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

async function startProxy(options: FakeProxyOptions = {}) {
  const proxy = await startFakeProxy(options)
  open.push(proxy)
  return proxy
}

const keys = { accessKeyId: 'id', secretAccessKey: 'secret' }
const options = { region: 'us-east-1', endpoint: null, fips: false, dualStack: false, keys }

describe('the AWS SDK', () => {
  it('calls STS and ECR through the proxy', async () => {
    const proxy = await startProxy({ answer: 'HTTP/1.1 403 Filtered\r\n\r\n' })
    const proxyFor = proxyRulesFromEnvironment({ HTTPS_PROXY: proxy.url })

    await expect(awsSdk.callerArn({ ...options, proxyFor })).rejects.toMatchObject({
      name: 'ProxyError',
      message: `the proxy ${proxy.url} does not allow connections to sts.us-east-1.amazonaws.com:443 (403)`,
    })
    await expect(awsSdk.authorizationToken({ ...options, proxyFor })).rejects.toThrow('403')
    expect(new Set(proxy.requests)).toEqual(
      new Set([
        'CONNECT sts.us-east-1.amazonaws.com:443',
        'CONNECT api.ecr.us-east-1.amazonaws.com:443',
      ]),
    )
  })
})

describe('the agent', () => {
  it.each([
    ['through the proxy', 'sts.invalid', 1],
    ['directly', 'localhost', 0],
  ])('connects %s', async (_, host, tunnels) => {
    const tls = await createTestCertificate(['sts.invalid', 'localhost'])
    const server = createServer(tls, (_request, response) => response.end('hello'))
    await new Promise<void>((resolve) => server.listen(0, resolve))
    open.push(server)
    const proxy = await startProxy()
    const agent = createProxyAgent(proxyRulesFromEnvironment({ HTTPS_PROXY: proxy.url }))
    const { port } = server.address() as AddressInfo

    const status = await new Promise((resolve, reject) => {
      get({ host, port, agent, ca: tls.cert }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode))
      }).on('error', reject)
    })
    agent.destroy()
    expect(status).toBe(200)
    expect(proxy.requests).toHaveLength(tunnels)
  })
})
