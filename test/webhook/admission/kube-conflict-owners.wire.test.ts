import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { writeConflictOwners } from '../../../src/decision/pod/conflict-owners.ts'
import type { ConflictOwners } from '../../../src/webhook/admission/conflict-owners.ts'
import { createConflictOwners } from '../../../src/webhook/admission/kube-conflict-owners.ts'
import {
  replyStatus,
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../../support/scripted-api-server.ts'

let server: ScriptedApiServer
let owners: ConflictOwners
let logged: { readonly level: string; readonly message: string; readonly fields: object }[]

beforeEach(async () => {
  server = await startScriptedApiServer()
  logged = []
  const logTo = (level: string) => (fields: object, message: string) =>
    void logged.push({ level, message, fields })
  owners = createConflictOwners({
    api: server.api(),
    namespace: 'berth',
    log: { info: logTo('info'), warn: logTo('warn'), debug: logTo('debug') } as never,
    now: () => Date.now(),
  })
})

afterEach(async () => {
  owners.follow(false)
  await server.close()
})

const configMaps = { path: '/configmaps' }
const entry = {
  kind: 'db.example/Database',
  namespace: 'team',
  name: 'db',
  uid: '1',
  since: '2026-01-01T00:00:00Z',
  until: '2100-01-01T00:00:00Z',
}
const reference = { apiVersion: 'db.example/v1', kind: 'Database', name: 'db', uid: '1' }
const pod = { metadata: { ownerReferences: [{ ...reference, controller: true }] } }

function putList(text: string, name = 'berth-image-conflicts'): void {
  server.kube.put('configmaps', {
    metadata: { name, namespace: 'berth' },
    data: { 'owners.json': text },
  } as never)
}

const warnings = () => logged.filter(({ level }) => level === 'warn')

it('reads the owners of the list, and follows its changes', async () => {
  putList(writeConflictOwners([entry]))
  owners.follow(true)
  await vi.waitFor(() => expect(owners.includes(pod, 'team')).toBe(true))
  expect(owners.includes(pod, 'other')).toBe(false)
  await server.waitForRequests({ ...configMaps, isWatch: true })
  putList('broken')

  await vi.waitFor(() => expect(owners.includes(pod, 'team')).toBe(false))
  expect(warnings()).toEqual([])
  expect(server.requests.map(({ query }) => query['fieldSelector'])).toEqual([
    'metadata.name=berth-image-conflicts',
    'metadata.name=berth-image-conflicts',
  ])
})

it('sends no request before it is switched on, and forgets the list when it is switched off', async () => {
  putList(writeConflictOwners([entry]))
  owners.follow(false)
  await sleep(50)
  expect(server.requests).toEqual([])
  owners.follow(true)
  await vi.waitFor(() => expect(owners.includes(pod, 'team')).toBe(true))
  owners.follow(false)

  expect(owners.includes(pod, 'team')).toBe(false)
})

it('logs once that the ConfigMap is missing, and finds it later', async () => {
  putList(writeConflictOwners([entry]), 'another')
  owners.follow(true)
  await vi.waitFor(() => expect(warnings()).toHaveLength(1))
  expect(warnings()[0]).toMatchObject({
    message: 'list of owners in conflict missing',
    fields: { fix: expect.stringContaining('add the component leave-conflicts') as string },
  })
  await server.waitForRequests({ ...configMaps, isWatch: true })
  putList(writeConflictOwners([entry]))

  await vi.waitFor(() => expect(owners.includes(pod, 'team')).toBe(true))
})

it('logs once that the right is missing, and does not retry when the config is reloaded', async () => {
  server.scriptAlways(configMaps, replyStatus(403, 'Forbidden'))
  for (let reload = 0; reload < 5; reload += 1) {
    owners.follow(true)
    await vi.waitFor(() => expect(warnings()).toHaveLength(1))
    owners.follow(false)
  }

  expect(warnings()[0]).toMatchObject({ message: 'right missing' })
  expect(server.requests).toHaveLength(1)
  expect(owners.includes(pod, 'team')).toBe(false)
})
