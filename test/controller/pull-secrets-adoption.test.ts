import { afterEach, describe, expect, it, vi } from 'vitest'
import { KubeError } from '../../src/kube/error.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { type FakeKube, startFakeKube } from '../support/fake-kube.ts'
import {
  eventsIn,
  putNamespaces,
  type RunningLoop,
  secretsOf,
  source,
  startPullSecretsLoop,
} from '../support/pull-secrets-loop.ts'

type Secret = KubeObject & { readonly data: Record<string, string>; readonly type: string }

const stops: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

function start(kube: FakeKube): RunningLoop {
  const loop = startPullSecretsLoop(kube)
  stops.push(loop.stop)
  return loop
}

/** A secret with the name of the copy and this password, as another tool makes it. */
function foreign(password: string, metadata: Partial<KubeObject['metadata']> = {}): Secret {
  const { type, data } = source(password) as Secret
  return { metadata: { name: 'pull', namespace: 'app1', ...metadata }, type, data }
}

const copyIn = (kube: FakeKube, namespace: string) =>
  kube.get('secrets', 'pull', namespace) as Secret | null

const waitForLink = (kube: FakeKube, namespace: string) =>
  vi.waitFor(() => expect(secretsOf(kube, namespace)).toContain('pull'), { timeout: 10_000 })

const waitUntilIdle = ({ logged }: RunningLoop) =>
  vi.waitFor(() => expect(logged('pull secrets up to date').length).toBeGreaterThan(0))

describe('a secret that another tool left', () => {
  it('is adopted if its content is the same, and follows its source from then on', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    const before = kube.put('secrets', foreign('one')) as Secret
    putNamespaces(kube, ['app1'])
    const loop = start(kube)
    await waitForLink(kube, 'app1')
    const adopted = copyIn(kube, 'app1')
    kube.put('secrets', source('two'))
    await vi.waitFor(() =>
      expect(copyIn(kube, 'app1')?.data).toEqual((source('two') as Secret).data),
    )

    expect(adopted?.metadata.uid).toBe(before.metadata.uid)
    expect(adopted?.data).toEqual(before.data)
    expect(adopted?.metadata.labels).toMatchObject({ 'berth.dev/copied': 'true' })
    expect(kube.writes.map(({ verb }) => verb)).not.toContain('remove')
    expect(await loop.metrics()).not.toContain('kind="read"')
  })

  it('with another content is reported until the label allows to overwrite it', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    const before = kube.put('secrets', foreign('canary-theirs')) as Secret
    putNamespaces(kube, ['app1'])
    const loop = start(kube)
    await vi.waitFor(() => expect(eventsIn(kube, 'app1')).toHaveLength(1))
    await waitUntilIdle(loop)
    const metrics = await loop.metrics()
    expect(copyIn(kube, 'app1')).toEqual(before)
    kube.put('secrets', foreign('canary-theirs', { labels: { 'berth.dev/adopt': 'allowed' } }))
    await waitForLink(kube, 'app1')

    expect(metrics).toContain('berth_pull_secret_findings{copy="pull",state="conflict"} 1')
    expect(eventsIn(kube, 'app1')).toMatchObject([
      {
        reason: 'PullSecretConflict',
        message: expect.stringContaining('berth.dev/adopt=allowed') as unknown,
      },
    ])
    expect(JSON.stringify(eventsIn(kube, 'app1'))).not.toContain('canary')
    expect(copyIn(kube, 'app1')?.data).toEqual((source('one') as Secret).data)
    expect(copyIn(kube, 'app1')?.metadata.uid).toBe(before.metadata.uid)
  })

  it('is not overwritten if someone changes it after it was compared', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    kube.put('secrets', foreign('one'))
    putNamespaces(kube, ['app1'])
    let isChanged = false
    const patch = kube.api.patch.bind(kube.api)
    kube.api.patch = async (ref, ...rest) => {
      if (ref.resource === 'secrets' && !isChanged) {
        isChanged = true
        kube.put('secrets', foreign('theirs'))
      }
      return patch(ref, ...rest)
    }
    start(kube)
    await vi.waitFor(() => expect(eventsIn(kube, 'app1')).toHaveLength(1), { timeout: 5_000 })

    expect(copyIn(kube, 'app1')?.data).toEqual((source('theirs') as Secret).data)
    expect(copyIn(kube, 'app1')?.metadata.labels).toBeUndefined()
  })
})

describe('a secret that cannot be read', () => {
  it('is reported, is retried, and does not delay other namespaces', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    kube.put('secrets', foreign('one'))
    putNamespaces(kube, ['app1', 'app2'])
    const list = kube.api.list.bind(kube.api)
    let refused = 0
    kube.api.list = ((ref, ...rest) => {
      if (ref.namespace !== 'app1' || refused > 0) return list(ref, ...rest)
      refused += 1
      throw new KubeError(403, 'Forbidden', 'secrets is forbidden: no right to list')
    }) as typeof list
    const loop = start(kube)
    await waitForLink(kube, 'app2')
    await vi.waitFor(() => expect(eventsIn(kube, 'app1')).toHaveLength(1))
    await waitForLink(kube, 'app1')

    expect(eventsIn(kube, 'app1')).toMatchObject([
      { message: expect.stringContaining('cannot be read to compare it') as unknown },
    ])
    expect(refused).toBe(1)
    expect(await loop.metrics()).toContain('state="conflict"} 0')
  })

  it('is not read in a namespace that the config does not select', async () => {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    kube.put('secrets', foreign('one', { namespace: 'other' }))
    putNamespaces(kube, ['app1', 'other'])
    const listed: (string | undefined)[] = []
    const list = kube.api.list.bind(kube.api)
    kube.api.list = ((ref, ...rest) => {
      if (ref.resource === 'secrets') listed.push(ref.namespace)
      return list(ref, ...rest)
    }) as typeof list
    await waitUntilIdle(start(kube))
    await waitForLink(kube, 'app1')

    expect(listed.length).toBeGreaterThan(0)
    expect(listed).not.toContain('other')
    expect(kube.get('secrets', 'pull', 'other')?.metadata.labels).toBeUndefined()
  })
})

describe('after a restore from a backup', () => {
  /** Creates the object as a restore does: with its labels and annotations, and with another UID. */
  function restore(kube: FakeKube, resource: string, object: KubeObject | null): KubeObject {
    if (object === null) throw new Error('nothing to restore')
    const { uid: _, resourceVersion: __, ...metadata } = object.metadata
    const labels = { ...metadata.labels, 'velero.io/restore-name': 'r' }
    kube.drop(resource, metadata.name, metadata.namespace)
    const { uid } = kube.put(resource, { ...object, metadata: { ...metadata, labels } }).metadata
    expect(uid).not.toBe(object.metadata.uid)
    return object
  }

  async function backup(): Promise<FakeKube> {
    const kube = startFakeKube()
    kube.put('secrets', source('one'))
    putNamespaces(kube, ['app1', 'app2'])
    const loop = start(kube)
    await waitForLink(kube, 'app1')
    await waitForLink(kube, 'app2')
    await loop.stop()
    kube.writes.length = 0
    return kube
  }

  it('copies get the new UID of their source, and are not deleted, recreated or reported', async () => {
    const kube = await backup()
    const writtenAt = copyIn(kube, 'app1')?.metadata.annotations?.['berth.dev/written-at']
    restore(kube, 'secrets', kube.get('secrets', 'src', 'home'))
    for (const namespace of ['app1', 'app2']) {
      restore(kube, 'secrets', copyIn(kube, namespace))
      restore(kube, 'serviceaccounts', kube.get('serviceaccounts', 'default', namespace))
    }
    await waitUntilIdle(start(kube))

    expect(kube.writes.map(({ verb, about }) => `${verb} ${about}`).toSorted()).toEqual([
      'patch secrets app1/pull',
      'patch secrets app2/pull',
    ])
    expect(copyIn(kube, 'app1')?.metadata.annotations).toMatchObject({
      'berth.dev/source-uid': kube.get('secrets', 'src', 'home')?.metadata.uid,
      'berth.dev/written-at': writtenAt,
    })
    expect(secretsOf(kube, 'app1')).toEqual(['pull'])
  })

  it('copies that the restore put back while the controller runs are followed too', async () => {
    const kube = await backup()
    const saved = [kube.get('secrets', 'src', 'home'), copyIn(kube, 'app1')]
    const loop = start(kube)
    await waitUntilIdle(loop)
    for (const object of saved) restore(kube, 'secrets', object)
    const uid = kube.get('secrets', 'src', 'home')?.metadata.uid
    await vi.waitFor(() => {
      for (const namespace of ['app1', 'app2'])
        expect(copyIn(kube, namespace)?.metadata.annotations).toMatchObject({
          'berth.dev/source-uid': uid,
        })
    })

    expect(kube.writes.filter(({ verb }) => verb === 'remove')).toEqual([])
    expect(await loop.metrics()).not.toMatch(/state="conflict"\} [1-9]/)
  })

  it('a copy that lost its labels and an older copy are both taken up', async () => {
    const kube = await backup()
    const copy = copyIn(kube, 'app1') as Secret
    kube.put('secrets', { ...copy, metadata: { name: 'pull', namespace: 'app1' } })
    kube.put('secrets', source('two'))
    await waitUntilIdle(start(kube))

    // The unlabelled one differs from the rotated source, so it needs the label.
    expect(eventsIn(kube, 'app1')).toHaveLength(1)
    expect(copyIn(kube, 'app2')?.data).toEqual((source('two') as Secret).data)
    kube.put('secrets', source('one'))
    await waitForLink(kube, 'app1')
    await vi.waitFor(() =>
      expect(copyIn(kube, 'app1')?.metadata.labels).toMatchObject({ 'berth.dev/copied': 'true' }),
    )
  })
})
