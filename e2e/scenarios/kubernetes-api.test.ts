import { connect as dial, createServer, type Server, type Socket } from 'node:net'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasStatus, KubeError } from '../../src/kube/error.ts'
import { type Cluster, connect } from '../../src/kube/connect.ts'
import { runLeaderElection } from '../../src/controller/runtime/leader-election.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { startInformer } from '../../src/kube/informer.ts'
import { currentCluster } from '../harness/cluster.ts'
import { waitFor } from '../harness/wait.ts'

/** What the controller and the command line stand on, against a real API server. */
const { kubeconfig, runDir } = currentCluster()
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

describe('objects', () => {
  test('are read, written with a precondition, and removed', async () => {
    const { api } = cluster
    const where = { ...configMaps, name: 'one' }
    expect(await api.get(where)).toBeNull()

    const made = await api.create<KubeObject>(configMaps, configMap('one', { a: '1' }))
    const again = await api.create(configMaps, configMap('one')).catch((error: unknown) => error)
    expect(hasStatus(again, 409) && again.reason).toBe('AlreadyExists')

    await api.patch(where, 'merge', { data: { b: '2' } })
    const stale = await api.replace(where, made).catch((error: unknown) => error)
    expect(hasStatus(stale, 409) && stale.reason).toBe('Conflict')
    expect(await api.get(where)).toMatchObject({ data: { a: '1', b: '2' } })

    await api.patch(where, 'merge', { data: { c: '3' } }, { dryRun: true })
    expect(await api.get(where)).not.toMatchObject({ data: { c: '3' } })
    await expect(api.delete(where, { uid: 'another' })).rejects.toThrow('409')
    expect(await api.delete(where)).toBe(true)
    expect(await api.delete(where)).toBe(false)
  })

  test('are listed page by page, all of them, and as metadata alone', async () => {
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

  test('that are not there make an empty list, as metadata too', async () => {
    const nothing = { labelSelector: 'nobody=has-it' }
    for (const metadataOnly of [false, true])
      for await (const object of cluster.api.list(configMaps, { ...nothing, metadataOnly }))
        expect.unreachable(JSON.stringify(object))
  })

  test('that are refused say why, with a code', async () => {
    const { api } = cluster
    const wrong = await api
      .create(configMaps, configMap('Not_A_Name'))
      .catch((error: unknown) => error)
    expect(wrong).toBeInstanceOf(KubeError)
    expect(wrong).toMatchObject({ code: 'cluster-refused', status: 422 })
    expect(String(wrong)).toContain('metadata.name')
  })
})

describe('a watch', () => {
  test('sees what is there, what comes, what changes and what goes', async () => {
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
    const where = { ...configMaps, name: 'watched-0' }
    await api.patch(where, 'merge', { data: { value: 'new' } })
    await waitFor('the change', () => watched.items.get(`${namespace}/watched-0`) === 'new')
    await api.delete(where)
    await waitFor('the removal', () => watched.items.size === 0)
    stop.abort()
    expect(changes).toEqual([
      `${namespace}/watched-0 null none`,
      `${namespace}/watched-0 none new`,
      `${namespace}/watched-0 new null`,
    ])
  })

  test('that has gone silent without an end is begun again, and misses nothing', async () => {
    const line = await startLine()
    const behind = await connect({ kubeconfig: line.kubeconfig, env: {} })
    const stop = new AbortController()
    const troubles: unknown[] = []
    const watched = startInformer(behind.api, {
      ref: configMaps,
      selection: { labelSelector: 'silent=yes' },
      transform: ({ metadata }) => metadata.name,
      onError: (error) => troubles.push(error),
      times: { stallMs: 2_000 },
      signal: stop.signal,
    })
    await watched.synced
    line.blackhole()
    await cluster.api.create(configMaps, {
      ...configMap('unheard'),
      metadata: { name: 'unheard', namespace, labels: { silent: 'yes' } },
    })
    await waitFor('the watch to be begun again', () => watched.items.has(`${namespace}/unheard`))
    expect(troubles.map(String)).toEqual(
      expect.arrayContaining([expect.stringContaining('silent')]),
    )
    stop.abort()
    await behind.close()
    line.stop()
  })
})

describe('a lease', () => {
  const times = { leaseMs: 3_000, renewMs: 2_000, retryMs: 200 }

  test('has one holder at a time, who hands it on', async () => {
    const events: string[] = []
    let leading = 0
    let most = 0
    const stops = ['a', 'b', 'c'].map((identity) => {
      const stop = new AbortController()
      const ended = runLeaderElection(cluster.api, {
        namespace,
        name: 'turns',
        identity,
        times,
        signal: stop.signal,
        lead: async (signal) => {
          leading += 1
          most = Math.max(most, leading)
          events.push(identity)
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
          leading -= 1
        },
      })
      return { identity, stop, ended }
    })
    for (const turn of [1, 2, 3]) {
      await waitFor(`leader ${turn}`, () => events.length === turn && leading === 1)
      const leader = stops.find(({ identity }) => identity === events.at(-1))
      leader?.stop.abort()
      await leader?.ended
    }
    expect(events.toSorted()).toEqual(['a', 'b', 'c'])
    expect(most).toBe(1)
  })

  test('is lost by a holder that cannot renew it, before another may have it', async () => {
    const line = await startLine()
    const behind = await connect({ kubeconfig: line.kubeconfig, env: {} })
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
    const first = contend(behind.api, 'first')
    await waitFor('the first to lead', () => events.length === 1)
    const second = contend(cluster.api, 'second')
    line.goDead()
    await waitFor('the second to lead', () => events.includes('second leads'))
    expect(events).toEqual(['first leads', 'first ends', 'second leads'])
    stop.abort()
    line.stop()
    await Promise.all([first, second])
    await behind.close()
  })
})

/** A line to the API server that can go dead: what is open stays open and carries nothing more. */
async function startLine(): Promise<{
  readonly kubeconfig: string
  /** What is open carries nothing more; what is opened from now on does. */
  blackhole(): void
  /** Nothing carries anything more. */
  goDead(): void
  stop(): void
}> {
  const text = readFileSync(kubeconfig, 'utf8')
  const server = /https:\/\/[^\s"]+/
  const { hostname, port } = new URL(server.exec(text)?.[0] ?? '')
  const sockets = new Set<Socket>()
  let isDead = false
  const blackhole = () => {
    for (const socket of sockets) socket.unpipe().pause()
  }
  const door: Server = createServer((client) => {
    const upstream = dial(Number(port), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => sockets.delete(socket))
    }
    if (!isDead) client.pipe(upstream).pipe(client)
  })
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve))
  const address = door.address()
  const own = typeof address === 'object' && address !== null ? address.port : 0
  const file = join(runDir, `line-${own}.kubeconfig`)
  writeFileSync(file, text.replace(server, `https://127.0.0.1:${own}`))
  return {
    kubeconfig: file,
    blackhole,
    goDead: () => {
      isDead = true
      blackhole()
    },
    stop: () => {
      door.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
