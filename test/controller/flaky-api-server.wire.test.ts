/** The pull secrets loop and an API server behind a flaky network: all copies and links come, and none is written twice. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { TransportOptions } from '../../src/kube/transport.ts'
import {
  putNamespaces,
  type RunningLoop,
  secretsOf,
  source,
  startPullSecretsLoop,
} from '../support/pull-secrets-loop.ts'
import {
  dropAfter,
  replyStatus,
  resetConnection,
  type ScriptedApiServer,
  stall,
  startScriptedApiServer,
} from '../support/scripted-api-server.ts'

let server: ScriptedApiServer
let loop: RunningLoop
const namespaces = ['app1', 'app2', 'app3']

beforeEach(async () => {
  server = await startScriptedApiServer()
  server.kube.put('secrets', source('one'))
  putNamespaces(server.kube, namespaces)
})

afterEach(async () => {
  await loop.stop()
  await server.close()
})

function start(options: TransportOptions = {}): void {
  loop = startPullSecretsLoop({ ...server.kube, api: server.api(options) })
}

async function waitForLinks(names: readonly string[] = namespaces): Promise<void> {
  await vi.waitFor(
    () => {
      for (const name of names) expect(secretsOf(server.kube, name)).toEqual(['pull'])
    },
    { timeout: 20_000 },
  )
}

const creates = { method: 'POST', path: '/secrets' }
const links = { method: 'PATCH', path: /serviceaccounts/ }

const stored = () => server.kube.writes.map(({ verb, about }) => `${verb} ${about}`).toSorted()
const expected = [
  ...namespaces.map((name) => `create secrets ${name}/pull`),
  ...namespaces.map((name) => `patch serviceaccounts ${name}/default`),
]

describe('the pull secrets loop', () => {
  it('does its writes while every watch expires, and follows changes afterwards', async () => {
    const end = server.scriptAlways({ isWatch: true }, replyStatus(410, 'Expired'))
    start()
    await waitForLinks()
    putNamespaces(server.kube, ['app4'])
    end()
    await waitForLinks(['app4'])

    expect(stored()).toEqual(
      [...expected, 'create secrets app4/pull', 'patch serviceaccounts app4/default'].toSorted(),
    )
  })

  it('waits as long as a 429 asks before it retries a write, and does the others meanwhile', async () => {
    server.script(creates, replyStatus(429, 'TooManyRequests', { 'retry-after': '1' }))
    start()
    await waitForLinks()
    const requests = server.requests.filter(({ method }) => method === 'POST')
    const [refused, ...others] = requests
    const retry = others.find(({ path }) => path === refused?.path)

    expect((retry?.at ?? 0) - (refused?.at ?? 0)).toBeGreaterThanOrEqual(1_000)
    expect(others[0]?.path).not.toBe(refused?.path)
    expect(stored()).toEqual(expected)
  })

  it('waits as long as a 429 asks before it lists again', async () => {
    const list = { method: 'GET', path: '/serviceaccounts', isWatch: false }
    server.script(list, replyStatus(429, 'TooManyRequests', { 'retry-after': '1' }))
    start()
    await waitForLinks()
    const [refused, retry] = await server.waitForRequests(list, 2)

    expect((retry?.at ?? 0) - (refused?.at ?? 0)).toBeGreaterThanOrEqual(1_000)
  })

  it.each([
    ['are not answered', stall()],
    ['are cut off', dropAfter('{"metadata":{"na')],
    ['end with a closed connection', resetConnection()],
  ])('repeats writes that %s', async (_, reply) => {
    server.script(creates, reply, reply)
    server.script(links, reply, reply)
    start({ timeoutMs: 300 })
    await waitForLinks()

    expect(stored()).toEqual(expected)
  })
})
