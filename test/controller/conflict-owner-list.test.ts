import { beforeEach, describe, expect, it } from 'vitest'
import { createConflictOwnerList } from '../../src/controller/conflict-owner-list.ts'
import { readConflictOwners } from '../../src/decision/pod/conflict-owners.ts'
import { KubeError } from '../../src/kube/error.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { createRefusals } from '../../src/kube/refusals.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'

const maxConflictOwners = 100
const start = Date.parse('2026-01-01T00:00:00Z')
const day = 24 * 3_600_000
let kube: FakeKube
let now: number
let counts: number[]
let lines: { readonly level: string; readonly message: string }[]
const refusalsOf = createRefusals()

beforeEach(() => {
  kube = startFakeKube()
  now = start
  counts = []
  lines = []
})

function createList(loop = 'one') {
  const logTo = (level: string) => (_: object, message: string) =>
    void lines.push({ level, message })
  return createConflictOwnerList({
    api: kube.api,
    namespace: 'berth',
    metrics: { left: (owners) => void counts.push(owners) },
    log: { info: logTo('info'), warn: logTo('warn'), debug: logTo('debug') } as never,
    refusals: refusalsOf(loop),
    now: () => now,
  })
}

function putConfigMap(data: Readonly<Record<string, string>> = {}): void {
  const metadata = { name: 'berth-image-conflicts', namespace: 'berth', labels: { a: 'b' } }
  kube.put('configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata, data } as KubeObject)
}

function listed() {
  const object = kube.get('configmaps', 'berth-image-conflicts', 'berth')
  const { data = {} } = object as { data?: Record<string, string> }
  return readConflictOwners(data['owners.json'])
}

function conflictOf(name: string, namespace = 'team') {
  return {
    namespace,
    owner: { apiVersion: 'db.example/v1', kind: 'Database', name, uid: `uid-${name}` },
    labels: {},
    change: { site: 'containers/main', from: 'a', to: 'b' },
    replacements: 3,
  }
}

describe('the list of owners in conflict', () => {
  it('gets one entry for an owner, and the rest of the ConfigMap stays unchanged', async () => {
    putConfigMap({ note: 'kept' })
    const list = createList()

    expect(await list.add(conflictOf('db'))).toBe(true)
    expect(await list.add(conflictOf('db'))).toBe(true)
    expect(listed()).toEqual([
      {
        kind: 'db.example/Database',
        namespace: 'team',
        name: 'db',
        uid: 'uid-db',
        since: '2026-01-01T00:00:00Z',
        until: '2026-01-08T00:00:00Z',
      },
    ])
    expect(kube.writes).toHaveLength(1)
    expect(kube.get('configmaps', 'berth-image-conflicts', 'berth')).toMatchObject({
      data: { note: 'kept' },
      metadata: { labels: { a: 'b' } },
    })
    expect(counts).toEqual([1, 1])
    expect(lines).toEqual([{ level: 'warn', message: 'images of owner left unchanged' }])
  })

  it('loses entries after seven days', async () => {
    putConfigMap()
    const list = createList()
    await list.add(conflictOf('old'))
    now = start + 3 * day
    await list.add(conflictOf('new'))
    now = start + 8 * day
    await list.update()

    expect(listed().map(({ name }) => name)).toEqual(['new'])
    expect(counts.at(-1)).toBe(1)
  })

  it('has at most 100 entries', async () => {
    putConfigMap()
    const list = createList()
    for (let index = 0; index < maxConflictOwners + 5; index += 1) {
      now += 1_000
      await list.add(conflictOf(`db-${index}`))
    }

    expect(listed()).toHaveLength(maxConflictOwners)
    expect(listed()[0]).toMatchObject({ name: 'db-5' })
  })

  it('keeps what someone else wrote meanwhile', async () => {
    putConfigMap()
    kube.refuse(/^configmaps /, 409)

    expect(await createList('other').add(conflictOf('db'))).toBe(true)
    expect(listed()).toHaveLength(1)
  })

  it.each([
    ['its ConfigMap is missing', () => undefined, 'owner in conflict not listed'],
    [
      'the right to update it is missing',
      () => {
        putConfigMap()
        const message = 'User "x" cannot update resource "configmaps" in API group ""'
        kube.refuseAlways(() => true, new KubeError(403, 'Forbidden', message))
      },
      'right missing',
    ],
  ])('says once that %s, and rests, also in a new loop', async (name, prepare, message) => {
    prepare()
    for (let reload = 0; reload < 5; reload += 1) {
      const list = createList(name)
      expect(await list.add(conflictOf('db'))).toBe(false)
      await list.update()
    }

    expect(lines).toEqual([{ level: 'warn', message }])
    expect(kube.reads).toHaveLength(1)
  })
})
