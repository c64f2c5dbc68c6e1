import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ConsoleSettings } from '../../src/controller/controller-console.ts'
import { consolePod } from '../support/console-cluster.ts'
import { followAt, send } from '../support/console-server.ts'
import { startController } from '../support/running-controller.ts'
import { startScriptedApiServer, type ScriptedApiServer } from '../support/scripted-api-server.ts'

const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n'
const settings: ConsoleSettings = {
  host: '127.0.0.1',
  port: 0,
  url: null,
  tokenFile: null,
  probe: false,
  version: '0.0.0',
}

let server: ScriptedApiServer
let directory: string
let configFile: string
let stop: AbortController
let ended: Promise<void>
let lines: Record<string, unknown>[]

beforeEach(async () => {
  server = await startScriptedApiServer()
  directory = mkdtempSync(join(tmpdir(), 'berth-controller-console-'))
  configFile = join(directory, 'berth.yaml')
  stop = new AbortController()
  ended = Promise.resolve()
  lines = []
  writeFileSync(configFile, head)
  server.kube.put('namespaces', { metadata: { name: 'shop' } })
  server.kube.put('pods', consolePod({ name: 'web', namespace: 'shop', image: 'nginx:1' }))
})

afterEach(async () => {
  stop.abort()
  await ended
  await server.close()
  rmSync(directory, { recursive: true })
})

function start(console: Partial<ConsoleSettings> = {}): void {
  const { signal } = stop
  ended = startController({
    server,
    configFile,
    lines,
    signal,
    console: { ...settings, ...console },
  })
}

const logged = (message: string) => lines.filter(({ msg }) => msg === message)
const waitForLog = (message: string, count = 1) =>
  vi.waitFor(() => expect(logged(message).length).toBeGreaterThanOrEqual(count), {
    timeout: 20_000,
  })

async function consolePort(): Promise<number> {
  await waitForLog('console listening')
  return Number(logged('console listening')[0]?.['port'])
}

const isPodsWatch = ({ path, isWatch }: { readonly path: string; readonly isWatch: boolean }) =>
  path.endsWith('/pods') && isWatch

describe('the console of the controller', () => {
  it('shows the pods with the watch that the loops use, also after the config has changed', async () => {
    start()
    const follower = followAt(await consolePort(), null)
    await waitForLog('loops started')
    await follower.until(({ sections }) => sections.overview?.pods === 1)
    await server.waitForRequests({ path: '/pods', isWatch: true })
    server.kube.put('pods', consolePod({ name: 'other', namespace: 'shop', image: 'redis:8' }))
    await follower.until(({ images }) => images.size === 2)
    writeFileSync(configFile, `${head}mode: observe\n`)
    await waitForLog('loops started', 2)
    await follower.until(({ sections }) => sections.table?.mode === 'observe')
    server.kube.drop('pods', 'web', 'shop')
    await follower.until(({ images }) => images.size === 1)

    // Each start of loops needs a list, and replaces the watch.
    expect(server.requests.filter(isPodsWatch).length).toBeLessThanOrEqual(3)
    follower.close()
  })

  it('serves a replica that does not lead', async () => {
    server.kube.put('leases', {
      metadata: { name: 'berth-controller', namespace: 'berth' },
      spec: { holderIdentity: 'another', leaseDurationSeconds: 3_600 },
    } as never)
    start()
    const follower = followAt(await consolePort(), null)
    await follower.until(({ sections }) => sections.overview?.pods === 1)

    expect(logged('became leader')).toEqual([])
    follower.close()
  })

  it('shows that a changed config has errors', async () => {
    start()
    const follower = followAt(await consolePort(), null)
    writeFileSync(configFile, 'kind: Nothing\n')
    await follower.until(({ sections }) => sections.status?.problems.length === 1)

    expect(follower.sections.status?.problems[0]).toMatch(/^config: .*kind/s)
    follower.close()
  })

  it('does not keep the controller from working if its port is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await vi.waitFor(() => expect(other.address()).not.toBeNull())
    start({ port: (other.address() as AddressInfo).port })
    await waitForLog('console not started')
    await waitForLog('loops started')
    other.close()

    expect(logged('console not started')).toHaveLength(1)
  })

  it('needs the token that is in the file now, and refuses every request without the file', async () => {
    const tokenFile = join(directory, 'token')
    writeFileSync(tokenFile, 'first\n')
    start({ tokenFile, url: new URL('https://berth.example.com') })
    const port = await consolePort()
    const statusWith = async (token: string) =>
      (await send(port, '/api/config', { method: 'POST', headers: { authorization: `Bearer ${token}` } })).status // prettier-ignore

    expect([await statusWith('first'), await statusWith('second')]).toEqual([200, 401])
    writeFileSync(tokenFile, 'second')
    expect([await statusWith('first'), await statusWith('second')]).toEqual([401, 200])
    rmSync(tokenFile)
    expect([await statusWith('second'), await statusWith('')]).toEqual([401, 401])
    expect(logged('console token not readable')).toHaveLength(1)
  })
})
