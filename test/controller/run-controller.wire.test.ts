import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startController } from '../support/running-controller.ts'
import {
  replyStatus,
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../support/scripted-api-server.ts'

const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n'
const withoutLoops = `${head}conflicts: ignore\npullFailures: { report: false }\n`

let server: ScriptedApiServer
let directory: string
let configFile: string
let stop: AbortController
let ended: Promise<void>
let lines: Record<string, unknown>[]

beforeEach(async () => {
  server = await startScriptedApiServer()
  directory = mkdtempSync(join(tmpdir(), 'berth-controller-'))
  configFile = join(directory, 'berth.yaml')
  stop = new AbortController()
  lines = []
  writeFileSync(configFile, head)
  start()
})

afterEach(async () => {
  stop.abort()
  await ended
  await server.close()
  rmSync(directory, { recursive: true })
})

function start(): void {
  // As in a pod, so that a rejected config leads to an Event.
  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1' }
  ended = startController({ server, configFile, lines, env, signal: stop.signal })
}

const logged = (message: string) => lines.filter(({ msg }) => msg === message)
const waitForLog = (message: string, count = 1) =>
  vi.waitFor(() => expect(logged(message).length).toBeGreaterThanOrEqual(count), {
    timeout: 10_000,
  })

async function metric(name: string): Promise<string | undefined> {
  const { metricsPort } = logged('waiting for leadership')[0] ?? {}
  const text = await (await fetch(`http://127.0.0.1:${String(metricsPort)}/metrics`)).text()
  return text.split('\n').find((line) => line.startsWith(`${name} `))
}

describe('the controller', () => {
  it('starts the loops of its config when it becomes leader', async () => {
    await waitForLog('loops started')

    expect(lines.map(({ msg }) => msg)).toEqual([
      'waiting for leadership',
      'became leader',
      'loops started',
    ])
    expect(logged('loops started')[0]).toMatchObject({
      loops: ['pull-failures', 'image-conflicts'],
    })
    expect(await metric('berth_controller_leader')).toBe('berth_controller_leader 1')
    await server.waitForRequests({ path: '/pods', isWatch: true })
  })

  it('says once which component grants a right that a loop lacks', async () => {
    server.scriptAlways({ path: '/pods' }, replyStatus(403, 'Forbidden'))
    await waitForLog('right missing', 2)
    const fix = expect.stringContaining('add the component pull-failures') as string

    expect(logged('right missing')).toMatchObject([
      { collection: 'pods', fix },
      { collection: 'pods', fix },
    ])
    // The two loops share one watch.
    expect(server.requests.filter(({ path }) => path.endsWith('/pods'))).toHaveLength(1)
  })

  it('does not retry a refused request when the config is reloaded', async () => {
    server.scriptAlways({ path: '/pods' }, replyStatus(403, 'Forbidden'))
    await waitForLog('right missing', 2)
    for (let reload = 1; reload <= 3; reload += 1) {
      writeFileSync(configFile, `${head}# ${reload}\n`)
      await waitForLog('loops started', reload + 1)
    }
    const asked = () => server.requests.filter(({ path }) => path.endsWith('/pods')).length
    // The watch of both loops may have asked again after 10 and 30 seconds on a slow machine, and not after each reload.
    expect(asked()).toBeLessThanOrEqual(4)

    // Another loop does not know yet that it lacks the right.
    writeFileSync(configFile, `${head}stuckPods: report\n`)
    await waitForLog('right missing', 3)
    expect(logged('right missing')[2]).toMatchObject({
      fix: expect.stringContaining('add the component stuck-pods') as string,
    })
    expect(asked()).toBeLessThanOrEqual(6)
  })

  it('says once which right the Lease needs', async () => {
    stop.abort()
    await ended
    server.scriptAlways({ path: '/leases/berth-controller' }, replyStatus(403, 'Forbidden'))
    stop = new AbortController()
    start()
    await waitForLog('right missing')

    expect(logged('right missing')).toMatchObject([
      { fix: expect.stringContaining('get and update on the Lease berth-controller') },
    ])
  })

  it('releases its Lease when it is stopped', async () => {
    await waitForLog('became leader')
    stop.abort()
    await ended

    expect(lines.slice(-2).map(({ msg }) => msg)).toEqual(['lost leadership', 'stopped'])
    expect(server.kube.get('leases', 'berth-controller', 'berth')).toMatchObject({
      spec: { holderIdentity: '' },
    })
  })

  it('restarts the loops when the config changes, and stays leader', async () => {
    await waitForLog('loops started')
    writeFileSync(configFile, withoutLoops)
    await waitForLog('loops started', 2)
    writeFileSync(configFile, head)
    await waitForLog('loops started', 3)

    expect(logged('loops started').map(({ loops }) => loops)).toEqual([
      ['pull-failures', 'image-conflicts'],
      [],
      ['pull-failures', 'image-conflicts'],
    ])
    expect(logged('became leader')).toHaveLength(1)
  })

  it('keeps its config when the file becomes invalid, and records an Event', async () => {
    await waitForLog('loops started')
    writeFileSync(configFile, 'kind: Nothing\n')
    await waitForLog('config rejected')
    const [request] = await server.waitForRequests({ method: 'POST', path: '/events' })

    expect(JSON.parse(request?.body ?? '')).toMatchObject({
      type: 'Warning',
      reason: 'ConfigNotInForce',
      involvedObject: { kind: 'Pod', namespace: 'berth' },
      message: expect.stringMatching(/; the previous config stays in force$/),
    })
    expect(await metric('berth_config_last_reload_successful')).toMatch(/ 0$/)
    expect(logged('loops started')).toHaveLength(1)
  })
})
