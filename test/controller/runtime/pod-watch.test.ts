import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createPodWatch, type PodWatch } from '../../../src/controller/runtime/pod-watch.ts'
import type { KubeObject } from '../../../src/kube/object.ts'
import { type FakeKube, startFakeKube } from '../../support/fake-kube.ts'

let kube: FakeKube
let watch: PodWatch
let stop: AbortController

beforeEach(() => {
  kube = startFakeKube()
  watch = createPodWatch(kube.api)
  stop = new AbortController()
})

afterEach(() => stop.abort())

const pod = (name: string, uid = name): KubeObject => ({
  metadata: { name, uid, namespace: 'shop' },
})

/** Follows the pods whose names start with a prefix. */
function follow(prefix: string, signal = stop.signal) {
  const changes: string[] = []
  const followed = watch.follow<{ readonly uid: string; readonly seen: number }>({
    loop: prefix,
    transform: ({ metadata: { name, uid = '' } }, before) =>
      name.startsWith(prefix) ? { uid, seen: (before?.seen ?? 0) + 1 } : null,
    onChange: (now, before) => changes.push(`${before?.uid ?? '-'} ${now?.uid ?? '-'}`),
    log: { warn: () => undefined, debug: () => undefined } as never,
    missingRightFix: 'grant list and watch on pods',
    signal,
  })
  return { ...followed, changes }
}

describe('createPodWatch', () => {
  it('shares one watch, of which each follower keeps its own pods', async () => {
    kube.put('pods', pod('web-1'))
    kube.put('pods', pod('db-1'))
    const [web, db] = [follow('web'), follow('db')]
    await Promise.all([web.synced, db.synced])
    kube.put('pods', pod('web-2'))
    await vi.waitFor(() => expect(web.items.size).toBe(2))

    expect([...web.items.keys()]).toEqual(['shop/web-1', 'shop/web-2'])
    expect([...db.items.keys()]).toEqual(['shop/db-1'])
    expect(kube.watches).toHaveLength(1)
  })

  it('passes what was kept of a pod, and reports a deleted one', async () => {
    kube.put('pods', pod('web-1'))
    const web = follow('web')
    await web.synced
    await vi.waitFor(() => expect(kube.watches).toHaveLength(1))
    kube.put('pods', pod('web-1', 'replaced'))
    await vi.waitFor(() => expect(web.items.get('shop/web-1')?.seen).toBe(2))
    kube.drop('pods', 'web-1', 'shop')
    await vi.waitFor(() => expect(web.items.size).toBe(0))

    expect(web.changes).toEqual(['- web-1', 'web-1 replaced', 'replaced -'])
  })

  it('lists again for a later follower, and reports to the others what is gone meanwhile', async () => {
    kube.put('pods', pod('web-1'))
    const web = follow('web')
    await web.synced
    const all = follow('')
    kube.drop('pods', 'web-1', 'shop')
    kube.put('pods', pod('db-1'))
    await all.synced

    expect([...all.items.keys()]).toEqual(['shop/db-1'])
    await vi.waitFor(() => expect(web.changes).toEqual(['- web-1', 'web-1 -']))
  })

  it('goes on for the others when one follower ends', async () => {
    const ended = new AbortController()
    const [web, all] = [follow('web', ended.signal), follow('')]
    await Promise.all([web.synced, all.synced])
    ended.abort()
    kube.put('pods', pod('web-1'))
    await vi.waitFor(() => expect(all.items.size).toBe(1))

    expect(web.items.size).toBe(0)
    expect(kube.watches).toHaveLength(1)
  })
})
