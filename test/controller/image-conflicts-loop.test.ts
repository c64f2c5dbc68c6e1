import { Registry } from 'prom-client'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type ConflictsDependencies,
  createConflictsLoop,
} from '../../src/controller/image-conflicts-loop.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { createPodWatch } from '../../src/controller/runtime/pod-watch.ts'
import { createConflictMetrics } from '../../src/telemetry/conflict-metrics.ts'
import { readConfig } from '../../src/config/load.ts'
import { startFakeKube } from '../support/fake-kube.ts'

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

function pod(uid: string, apiVersion: string, kind: string): KubeObject {
  const to = 'mirror.example/library/db:1'
  const record = { site: 'containers/main', from: 'db:1', to, row: 'all', why: 'found' }
  return {
    metadata: {
      name: 'db-0',
      namespace: 'team',
      uid,
      labels: { app: 'db' },
      annotations: { 'berth.dev/images': JSON.stringify([record]) },
      ownerReferences: [{ apiVersion, kind, name: 'db', uid: 'owner', controller: true }],
    },
    spec: { containers: [{ name: 'main', image: to }] },
  } as KubeObject
}

interface RecordedEvent extends KubeObject {
  readonly reason: string
  readonly message: string
  readonly involvedObject: object
}

async function start(list: ConflictsDependencies['list'] = null) {
  const kube = startFakeKube()
  const registry = new Registry()
  const stop = new AbortController()
  const lines: string[] = []
  const logTo = (_fields: object, text: string) => void lines.push(text)
  const log = { info: logTo, warn: logTo, debug: logTo }
  const loop = createConflictsLoop({
    api: kube.api,
    watch: createPodWatch(kube.api),
    metrics: createConflictMetrics(registry),
    list,
    log: log as never,
  })
  const ended = loop.run(stop.signal).catch(() => undefined)
  const end = async () => {
    stop.abort()
    await ended
  }
  stops.push(end)
  await vi.waitFor(() => expect(kube.watches).toHaveLength(1))
  const events = () =>
    [...new Set(kube.writes.map(({ about }) => about))].flatMap((about) => {
      const [namespace = '', name = ''] = about.replace('events ', '').split('/')
      return (kube.get('events', name, namespace) ?? []) as RecordedEvent | []
    })
  const gauge = async () => /^berth_image_conflicts (\d+)$/m.exec(await registry.metrics())?.[1]
  let uid = 0
  return {
    kube,
    lines,
    events,
    gauge,
    end,
    /** Replaces the pod of an owner. */
    replace: (apiVersion: string, kind: string) => {
      if (uid > 0) kube.drop('pods', 'db-0', 'team')
      kube.put('pods', pod(String(++uid), apiVersion, kind))
    },
  }
}

function rowOf(message = ''): string {
  return message.slice(message.indexOf('- {'))
}

describe('the loop for image conflicts', () => {
  it('records one Event on the owner, with a row that leaves its images, and counts the owner', async () => {
    const { replace, events, gauge, end } = await start()
    for (let count = 0; count < 6; count++) replace('db.example/v1', 'Database')
    await vi.waitFor(async () => expect(await gauge()).toBe('1'))
    const [event] = events()

    expect(events()).toHaveLength(1)
    expect(event).toMatchObject({
      reason: 'ImageConflict',
      involvedObject: { apiVersion: 'db.example/v1', kind: 'Database', name: 'db', uid: 'owner' },
    })
    expect(event?.message).toContain('containers/main: db:1 became mirror.example/library/db:1')
    expect(rowOf(event?.message)).toBe(
      '- { name: leave-database, when: { owners: [db.example/Database] }, leave: true }',
    )
    const config = `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nfallback:\n  ${rowOf(event?.message)}\n`
    expect(readConfig(config, '/nowhere')).toMatchObject({ ok: true, config: { warnings: [] } })
    await end()
    expect(await gauge()).toBe('0')
  })

  it('reports a StatefulSet only if its generation does not change, with its namespace and label', async () => {
    const { kube, replace, events } = await start()
    const set = (generation: number) =>
      kube.put('statefulsets', {
        metadata: { name: 'db', namespace: 'team', generation },
      } as KubeObject)
    set(1)
    for (let count = 0; count < 4; count++) replace('apps/v1', 'StatefulSet')
    await vi.waitFor(() => expect(kube.reads).toHaveLength(1))
    set(2)
    replace('apps/v1', 'StatefulSet')
    await vi.waitFor(() => expect(kube.reads).toHaveLength(2))
    expect(events()).toEqual([])
    replace('apps/v1', 'StatefulSet')
    await vi.waitFor(() => expect(events()).toHaveLength(1))

    expect(rowOf(events()[0]?.message)).toBe(
      '- { name: leave-db, when: { namespaces: [team], owners: [apps/StatefulSet], pods: { matchLabels: { app: db } } }, leave: true }',
    )
  })

  it('lists the owner at each replacement until the list has it, and says so in the Event', async () => {
    const added: string[] = []
    const list = {
      add: ({ owner }: { readonly owner: { readonly name: string } }) => {
        added.push(owner.name)
        return Promise.resolve(true)
      },
      update: () => Promise.resolve(),
    }
    const { replace, events } = await start(list)
    for (let count = 0; count < 6; count++) replace('db.example/v1', 'Database')
    await vi.waitFor(() => expect(added).toHaveLength(3))

    expect(added).toEqual(['db', 'db', 'db'])
    expect(events()).toHaveLength(1)
    expect(events()[0]?.message).toContain('Berth leaves its images unchanged for seven days.')
    expect(rowOf(events()[0]?.message)).toMatch(/^- \{ name: leave-database/)
  })

  it('tries again if the Event is refused', async () => {
    const { kube, replace, events, lines } = await start()
    kube.refuse(/^events /, 500)
    for (let count = 0; count < 4; count++) replace('db.example/v1', 'Database')
    await vi.waitFor(() => expect(lines).toContain('image conflict not reported'))
    replace('db.example/v1', 'Database')

    await vi.waitFor(() => expect(events()).toHaveLength(1))
  })
})
