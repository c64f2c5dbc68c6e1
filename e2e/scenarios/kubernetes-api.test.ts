import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasStatus, KubeError } from '../../src/kube/error.ts'
import { type Cluster, connect } from '../../src/kube/connect.ts'
import { runLeaderElection } from '../../src/controller/runtime/leader-election.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { startInformer } from '../../src/kube/informer.ts'
import { currentCluster } from '../harness/cluster.ts'
import { startFreezableProxy } from '../harness/freezable-proxy.ts'
import { waitFor } from '../harness/wait.ts'

/** The Kubernetes client and leader election against a real API server. */
const { kubeconfig } = currentCluster()
const namespace = 'kube-client'
const configMaps = { apiVersion: 'v1', resource: 'configmaps', namespace }
let cluster: Cluster

beforeAll(async () => {
  cluster = await connect({ kubeconfig, env: {} })
  await cluster.api.create(
    { apiVersion: 'v1', resource: 'namespaces' },
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  )
})

afterAll(async () => {
  await cluster.api.delete({ apiVersion: 'v1', resource: 'namespaces', name: namespace })
  await cluster.close()
})

function configMap(name: string, data: Record<string, string> = {}) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data }
}

describe('the API client', () => {
  test('reads, writes with a precondition, and deletes objects', async () => {
    const { api } = cluster
    const ref = { ...configMaps, name: 'one' }
    expect(await api.get(ref)).toBeNull()

    const created = await api.create<KubeObject>(configMaps, configMap('one', { a: '1' }))
    const again = await api.create(configMaps, configMap('one')).catch((error: unknown) => error)
    expect(hasStatus(again, 409) && again.reason).toBe('AlreadyExists')

    await api.patch(ref, 'merge', { data: { b: '2' } })
    const stale = await api.replace(ref, created).catch((error: unknown) => error)
    expect(hasStatus(stale, 409) && stale.reason).toBe('Conflict')
    expect(await api.get(ref)).toMatchObject({ data: { a: '1', b: '2' } })

    await api.patch(ref, 'merge', { data: { c: '3' } }, { dryRun: true })
    expect(await api.get(ref)).not.toMatchObject({ data: { c: '3' } })
    await expect(api.delete(ref, { uid: 'another' })).rejects.toThrow('409')
    expect(await api.delete(ref)).toBe(true)
    expect(await api.delete(ref)).toBe(false)
  })

  test('lists all pages, also as metadata only', async () => {
    const { api } = cluster
    const names = Array.from({ length: 520 }, (_, index) => `many-${index}`)
    for (let start = 0; start < names.length; start += 40)
      await Promise.all(
        names
          .slice(start, start + 40)
          .map((name) => api.create(configMaps, configMap(name, { key: 'the value' }))),
      )
    const seen: string[] = []
    for await (const object of api.list(configMaps, { metadataOnly: true })) {
      seen.push(object.metadata.name)
      expect(JSON.stringify(object)).not.toContain('the value')
    }
    expect(seen).toEqual(expect.arrayContaining(names))
  })

  test('lists nothing if nothing matches, also as metadata only', async () => {
    const nothing = { labelSelector: 'label=without-objects' }
    for (const metadataOnly of [false, true])
      for await (const object of cluster.api.list(configMaps, { ...nothing, metadataOnly }))
        expect.unreachable(JSON.stringify(object))
  })

  test('throws an error with the reason and a code if the API server rejects an object', async () => {
    const { api } = cluster
    const wrong = await api
      .create(configMaps, configMap('Not_A_Name'))
      .catch((error: unknown) => error)
    expect(wrong).toBeInstanceOf(KubeError)
    expect(wrong).toMatchObject({ code: 'cluster-refused', status: 422 })
    expect(String(wrong)).toContain('metadata.name')
  })
})

describe('an informer', () => {
  test('sees existing, new, changed and deleted objects', async () => {
    const { api } = cluster
    const stop = new AbortController()
    const changes: string[] = []
    await api.create(configMaps, {
      ...configMap('watched-0'),
      metadata: { name: 'watched-0', namespace, labels: { watched: 'yes' } },
    })
    const watched = startInformer<KubeObject & { data?: Record<string, string> }, string>(api, {
      ref: configMaps,
      selection: { labelSelector: 'watched=yes' },
      transform: ({ data }) => data?.['value'] ?? 'none',
      onChange: (key, now, before) => changes.push(`${key} ${before} ${now}`),
      signal: stop.signal,
    })
    await watched.synced
    const ref = { ...configMaps, name: 'watched-0' }
    await api.patch(ref, 'merge', { data: { value: 'new' } })
    await waitFor('the change', () => watched.items.get(`${namespace}/watched-0`) === 'new')
    await api.delete(ref)
    await waitFor('the removal', () => watched.items.size === 0)
    stop.abort()
    expect(changes).toEqual([
      `${namespace}/watched-0 null none`,
      `${namespace}/watched-0 none new`,
      `${namespace}/watched-0 new null`,
    ])
  })

  test('starts a silent watch again and misses nothing', async () => {
    const proxy = await startFreezableProxy()
    const throughProxy = await connect({ kubeconfig: proxy.kubeconfig, env: {} })
    const stop = new AbortController()
    const errors: unknown[] = []
    const watched = startInformer(throughProxy.api, {
      ref: configMaps,
      selection: { labelSelector: 'silent=yes' },
      transform: ({ metadata }) => metadata.name,
      onError: (error) => errors.push(error),
      times: { stallMs: 2_000 },
      signal: stop.signal,
    })
    await watched.synced
    proxy.freezeOpenConnections()
    await cluster.api.create(configMaps, {
      ...configMap('missed'),
      metadata: { name: 'missed', namespace, labels: { silent: 'yes' } },
    })
    await waitFor('the new watch', () => watched.items.has(`${namespace}/missed`))
    expect(errors.map(String)).toEqual(expect.arrayContaining([expect.stringContaining('silent')]))
    stop.abort()
    await throughProxy.close()
    proxy.stop()
  })
})

describe('an informer whose connection drops', () => {
  test('in the middle of a line watches again, and misses nothing', async () => {
    const proxy = await startFreezableProxy()
    const throughProxy = await connect({ kubeconfig: proxy.kubeconfig, env: {} })
    const stop = new AbortController()
    const errors: string[] = []
    const watched = startInformer<KubeObject & { data?: Record<string, string> }, number>(
      throughProxy.api,
      {
        ref: configMaps,
        selection: { labelSelector: 'dropped=yes' },
        transform: ({ data }) => data?.['value']?.length ?? 0,
        onError: (error) => errors.push(String(error)),
        signal: stop.signal,
      },
    )
    await watched.synced
    proxy.dropAfter(100_000)
    await cluster.api.create(configMaps, {
      ...configMap('large', { value: 'x'.repeat(700_000) }),
      metadata: { name: 'large', namespace, labels: { dropped: 'yes' } },
    })
    await waitFor('the object', () => watched.items.get(`${namespace}/large`) === 700_000)
    expect(errors).toHaveLength(1)
    stop.abort()
    await throughProxy.close()
    proxy.stop()
  })
})

describe('leader election', () => {
  // Long enough that a busy machine does not lose a lease by accident.
  const times = { leaseMs: 10_000, renewMs: 7_000, retryMs: 500 }

  test('has one leader at a time, which releases the Lease when it stops', async () => {
    const events: string[] = []
    let leaders = 0
    let maxLeaders = 0
    const candidates = ['a', 'b', 'c'].map((identity) => {
      const stop = new AbortController()
      const ended = runLeaderElection(cluster.api, {
        namespace,
        name: 'turns',
        identity,
        times,
        signal: stop.signal,
        lead: async (signal) => {
          leaders += 1
          maxLeaders = Math.max(maxLeaders, leaders)
          events.push(identity)
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
          leaders -= 1
        },
      })
      return { identity, stop, ended }
    })
    for (const turn of [1, 2, 3]) {
      await waitFor(`leader ${turn}`, () => events.length === turn && leaders === 1)
      const leader = candidates.find(({ identity }) => identity === events.at(-1))
      leader?.stop.abort()
      await leader?.ended
    }
    expect(events.toSorted()).toEqual(['a', 'b', 'c'])
    expect(maxLeaders).toBe(1)
  })

  test('ends the leadership of a process that cannot renew the Lease before another one leads', async () => {
    const proxy = await startFreezableProxy()
    const throughProxy = await connect({ kubeconfig: proxy.kubeconfig, env: {} })
    const stop = new AbortController()
    const events: string[] = []
    const contend = (api: Cluster['api'], identity: string) =>
      runLeaderElection(api, {
        namespace,
        name: 'lost',
        identity,
        times,
        signal: stop.signal,
        lead: async (signal) => {
          events.push(`${identity} leads`)
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
          events.push(`${identity} ends`)
        },
      })
    const first = contend(throughProxy.api, 'first')
    await waitFor('the first to lead', () => events.length === 1)
    const second = contend(cluster.api, 'second')
    proxy.freeze()
    await waitFor('the second to lead', () => events.includes('second leads'))
    expect(events).toEqual(['first leads', 'first ends', 'second leads'])
    stop.abort()
    proxy.stop()
    await Promise.all([first, second])
    await throughProxy.close()
  })
})
