import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { KubeApi } from '../../src/kube/api-client.ts'
import { type Informer, type InformerTimes, startInformer } from '../../src/kube/informer.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { createRefusals, type Refusals } from '../../src/kube/refusals.ts'
import {
  createWatchStream,
  dropAfter,
  replyPage,
  replyStatus,
  type ScriptedApiServer,
  startScriptedApiServer,
  stall,
  stallAfter,
} from '../support/scripted-api-server.ts'

let server: ScriptedApiServer
let api: KubeApi
let stop: AbortController
let changes: string[]
let errors: string[]

beforeEach(async () => {
  server = await startScriptedApiServer()
  api = server.api()
  stop = new AbortController()
  changes = []
  errors = []
})

afterEach(async () => {
  stop.abort()
  await server.close()
})

const lists = { path: '/pods', isWatch: false }
const watches = { path: '/pods', isWatch: true }

function pod(name: string, image = 'a', resourceVersion = '1'): KubeObject & { image: string } {
  return { metadata: { namespace: 'shop', name, resourceVersion }, image }
}

const shortTimes = {
  minIntervalMs: 5,
  backoff: { firstMs: 5, maxMs: 20 },
  forbiddenBackoff: { firstMs: 5, maxMs: 20 },
}

function start(times: Partial<InformerTimes> = {}, refusals?: Refusals): Informer<string> {
  return startInformer<KubeObject & { readonly image?: string }, string>(api, {
    ref: { apiVersion: 'v1', resource: 'pods' },
    transform: ({ image = '' }) => (image === 'ignored' ? null : image),
    onChange: (key, item, before) => changes.push(`${key}: ${before} -> ${item}`),
    onError: (error) => errors.push(String(error)),
    times: { ...shortTimes, ...times },
    refusals,
    signal: stop.signal,
  })
}

/** Starts an informer with these pods at version 10, and its first watch. */
async function startWatching(pods: readonly object[], times?: Partial<InformerTimes>) {
  const stream = createWatchStream()
  server.script(lists, replyPage(pods, { resourceVersion: '10' }))
  server.script(watches, stream.reply)
  const informer = start(times)
  const request = await stream.opened
  return { informer, stream, request }
}

/** Waits for the n-th watch, and returns the version from which it continues. */
async function watchedFrom(count: number): Promise<string | undefined> {
  const requests = await server.waitForRequests(watches, count)
  return requests.at(count - 1)?.query['resourceVersion']
}

describe('the list', () => {
  it('reads all pages before the informer is synced', async () => {
    server.script(
      lists,
      replyPage([pod('one')], { resourceVersion: '7', next: 'page-2' }),
      replyPage([pod('two')], { resourceVersion: '8' }),
    )
    const { items, synced } = start()
    await synced

    expect([...items]).toEqual([
      ['shop/one', 'a'],
      ['shop/two', 'a'],
    ])
    const [first, second] = await server.waitForRequests(lists, 2)
    expect(first?.query).toEqual({ limit: '10' })
    expect(second?.query).toEqual({ limit: '500', continue: 'page-2' })
    expect(await watchedFrom(1)).toBe('8')
  })

  it('asks for smaller pages of large objects', async () => {
    server.script(
      lists,
      replyPage([pod('one', 'x'.repeat(250_000))], { next: 'page-2' }),
      replyPage([pod('two', 'x'.repeat(2_000_000))], { next: 'page-3' }),
      replyPage([pod('three')], {}),
    )
    const { items, synced } = start()
    await synced
    const requests = await server.waitForRequests(lists, 3)

    expect(requests.map(({ query }) => query['limit'])).toEqual(['10', '4', '1'])
    expect(items.size).toBe(3)
  })

  it('keeps nothing of an object that transforms to null', async () => {
    const { informer } = await startWatching([pod('one'), pod('two', 'ignored')])

    expect([...informer.items.keys()]).toEqual(['shop/one'])
    expect(changes).toEqual(['shop/one: null -> a'])
  })

  it('is retried after a failure and after a connection reset', async () => {
    server.script(lists, replyStatus(500, 'InternalError'), dropAfter('{"items":[{"meta'))
    server.script(lists, replyPage([pod('one')], {}))
    const { items, synced } = start()
    await synced

    expect(items.size).toBe(1)
    expect(errors).toEqual([
      expect.stringContaining('answered 500 about pods'),
      expect.stringContaining('the response about pods is incomplete'),
    ])
  })

  it('starts again when the token of its next page has expired', async () => {
    server.script(lists, replyPage([pod('gone')], { next: 'page-2' }), replyStatus(410, 'Expired'))
    server.script(lists, replyPage([pod('one')], {}))
    const { items, synced } = start()
    await synced

    expect([...items.keys()]).toEqual(['shop/one'])
  })

  it('rejects `synced` when the signal aborts before the first list', async () => {
    server.script(lists, stall())
    const { synced } = start()
    await server.waitForRequests(lists)
    stop.abort(new Error('stopped'))

    await expect(synced).rejects.toThrow('stopped')
    expect(errors).toEqual([])
  })
})

describe('the watch', () => {
  it('applies added, modified and deleted objects', async () => {
    const { informer, stream, request } = await startWatching([pod('one')])
    stream.event('ADDED', pod('two', 'a', '11'))
    stream.event('MODIFIED', pod('one', 'b', '12'))
    stream.event('DELETED', pod('two', 'a', '13'))
    await vi.waitFor(() => expect(changes).toHaveLength(4))

    expect(changes).toEqual([
      'shop/one: null -> a',
      'shop/two: null -> a',
      'shop/one: a -> b',
      'shop/two: a -> null',
    ])
    expect([...informer.items]).toEqual([['shop/one', 'b']])
    expect(request.query).toMatchObject({
      resourceVersion: '10',
      allowWatchBookmarks: 'true',
      timeoutSeconds: '300',
    })
  })

  it('reads lines that arrive in parts, cut inside a character', async () => {
    const { stream } = await startWatching([])
    const bytes = Buffer.from(`${JSON.stringify({ type: 'ADDED', object: pod('one', 'größe') })}\n`)
    const middle = bytes.indexOf('ö') + 1
    stream.raw(bytes.subarray(0, 5))
    await new Promise(setImmediate)
    stream.raw(bytes.subarray(5, middle))
    await new Promise(setImmediate)
    stream.raw(Buffer.concat([bytes.subarray(middle), bytes]))
    await vi.waitFor(() => expect(changes).toHaveLength(2))

    expect(changes[1]).toBe('shop/one: größe -> größe')
  })

  it('continues from the version of the last object when the API server ends it', async () => {
    const { stream } = await startWatching([])
    stream.event('ADDED', pod('one', 'a', '23'))
    stream.end()

    expect(await watchedFrom(2)).toBe('23')
    expect(errors).toEqual([])
  })

  it('continues from the version of the last bookmark', async () => {
    const { stream } = await startWatching([])
    stream.event('ADDED', pod('one', 'a', '23'))
    stream.bookmark('42')
    stream.end()

    expect(await watchedFrom(2)).toBe('42')
    expect(changes).toEqual(['shop/one: null -> a'])
  })

  it('continues from the last complete line when the connection drops inside a line', async () => {
    const { informer, stream } = await startWatching([])
    stream.event('ADDED', pod('one', 'a', '23'))
    stream.raw('{"type":"ADDED","object":{"metadata":{"name":"tw')
    await vi.waitFor(() => expect(changes).toHaveLength(1))
    stream.reset()

    expect(await watchedFrom(2)).toBe('23')
    expect([...informer.items.keys()]).toEqual(['shop/one'])
    expect(errors).toHaveLength(1)
  })

  it('ignores a line that is cut off at the end of the response', async () => {
    const { stream } = await startWatching([])
    stream.raw('{"type":"ADDED","object":{"metadata":{"name":"tw')
    stream.end()

    expect(await watchedFrom(2)).toBe('10')
    expect(changes).toEqual([])
  })

  it('is opened again when a proxy sends something other than JSON', async () => {
    const { stream } = await startWatching([])
    stream.raw('<html>\n')

    expect(await watchedFrom(2)).toBe('10')
    expect(errors).toEqual([expect.stringContaining('SyntaxError')])
  })

  it('is opened again on a new connection when it stalls', async () => {
    const { informer, stream } = await startWatching([pod('one')], { stallMs: 50 })
    const connections = server.connections()
    await stream.closed
    server.kube.put('pods', pod('two'))

    expect(await watchedFrom(2)).toBe('10')
    expect(errors).toEqual([expect.stringContaining('the watch has been silent for 0.05 s')])
    expect(server.connections()).toBeGreaterThan(connections)
    expect([...informer.items.keys()]).toContain('shop/one')
  })

  it('is opened again when it has been silent for three minutes, and not before', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const { informer } = await startWatching([pod('one')], { stallMs: 180_000 })
      await vi.advanceTimersByTimeAsync(179_000)
      const watchesBefore = server.requests.filter(({ isWatch }) => isWatch).length
      server.kube.put('pods', pod('two'))
      await vi.advanceTimersByTimeAsync(1_000)
      await vi.waitFor(() => expect(informer.items.size).toBe(2))

      expect(watchesBefore).toBe(1)
      expect(errors).toEqual([expect.stringContaining('the watch has been silent for 180 s')])
    } finally {
      vi.useRealTimers()
    }
  })

  it('is retried when the API server does not answer it', async () => {
    server.script(lists, replyPage([], { resourceVersion: '10' }))
    server.script(watches, stall(), stallAfter(''))
    start({ stallMs: 30 })

    expect(await watchedFrom(3)).toBe('10')
    expect(errors.length).toBeGreaterThanOrEqual(2)
  })

  it('is retried with growing pauses while the API server is down', async () => {
    const { stream } = await startWatching([])
    await server.pause()
    await stream.closed
    await vi.waitFor(() => expect(errors.length).toBeGreaterThan(3))
    await server.resume()

    expect(await watchedFrom(2)).toBe('10')
    expect(errors.at(-1)).toContain('does not answer the request for pods')
  })
})

describe('a version that the API server no longer has', () => {
  it.each(['an ERROR event', 'the status 410'])('leads to a new list after %s', async (how) => {
    const { informer, stream } = await startWatching([pod('stays'), pod('deleted')])
    server.script(lists, replyPage([pod('stays'), pod('new')], { resourceVersion: '90' }))
    if (how === 'the status 410') {
      server.script(watches, replyStatus(410, 'Expired'))
      stream.end()
    } else stream.error(410, 'Expired')

    expect(await watchedFrom(how === 'the status 410' ? 3 : 2)).toBe('90')
    expect([...informer.items.keys()]).toEqual(['shop/stays', 'shop/new'])
    expect(changes.slice(2)).toEqual([
      'shop/stays: a -> a',
      'shop/new: null -> a',
      'shop/deleted: a -> null',
    ])
  })

  it('keeps the old items until the new list is complete', async () => {
    const { informer, stream } = await startWatching([pod('one')])
    const sent = Promise.withResolvers<void>()
    server.script(lists, replyPage([], { next: 'page-2' }), async (response, request) => {
      await sent.promise
      await replyPage([], { resourceVersion: '90' })(response, request)
    })
    stream.error(410, 'Expired')
    await server.waitForRequests(lists, 3)

    expect(informer.items.size).toBe(1)
    sent.resolve()
    expect(await watchedFrom(2)).toBe('90')
    expect(informer.items.size).toBe(0)
  })
})

describe('a missing right', () => {
  const rest = { firstMs: 600_000, maxMs: 600_000 }

  it('to list is retried rarely', async () => {
    server.scriptAlways(lists, replyStatus(403, 'Forbidden'))
    start({ forbiddenBackoff: rest })
    await vi.waitFor(() => expect(errors).toHaveLength(1))
    await sleep(100)

    expect(server.requests).toHaveLength(1)
    expect(errors).toEqual([expect.stringContaining('answered 403 about pods')])
  })

  it('to watch is retried rarely', async () => {
    server.scriptAlways(watches, replyStatus(403, 'Forbidden'))
    const { items, synced } = start({ forbiddenBackoff: rest })
    server.kube.put('pods', pod('one'))
    await synced
    await vi.waitFor(() => expect(errors).toHaveLength(1))
    await sleep(100)

    expect(server.requests).toHaveLength(2)
    expect(items.size).toBe(1)
  })

  it.each([lists, watches])(
    'keeps its delay when another informer starts: $isWatch',
    async (match) => {
      const refusals = createRefusals()('loop')
      server.scriptAlways(match, replyStatus(403, 'Forbidden'))
      start({ forbiddenBackoff: rest }, refusals)
      await vi.waitFor(() => expect(errors).toHaveLength(1))
      for (let restart = 1; restart <= 10; restart += 1) {
        start({ forbiddenBackoff: rest }, refusals)
        await vi.waitFor(() => expect(errors).toHaveLength(restart + 1))
      }
      await sleep(50)

      expect(server.requests.filter(({ isWatch }) => isWatch === match.isWatch)).toHaveLength(1)
      expect(errors[1]).toBe(errors[0])
    },
  )

  it('has no delay left after a success', async () => {
    const refusals = createRefusals()('loop')
    server.script(lists, replyStatus(403, 'Forbidden'))
    await start({}, refusals).synced
    await start({ forbiddenBackoff: rest }, refusals).synced

    expect(errors).toHaveLength(1)
  })

  it('that is granted later is noticed', async () => {
    server.script(lists, replyStatus(403, 'Forbidden'), replyStatus(403, 'Forbidden'))
    server.kube.put('pods', pod('one'))
    const { items, synced } = start()
    await synced

    expect(items.size).toBe(1)
  })
})

describe('a storm of expired versions', () => {
  it.each([
    ['as ERROR events', () => expiringStream()],
    ['as the status 410', () => replyStatus(410, 'Expired')],
  ])(
    '%s leads to new lists with growing pauses, and is reported from the second time on',
    async (_, reply) => {
      server.kube.put('pods', pod('one'))
      const end = server.scriptAlways(watches, (response, request) => reply()(response, request))
      const informer = start({ backoff: { firstMs: 20, maxMs: 10_000 } })
      await server.waitForRequests(lists, 5)
      const times = server.requests.filter(({ isWatch }) => !isWatch).map(({ at }) => at)
      const pauses = times.slice(1).map((at, index) => at - (times[index] ?? 0))
      end()
      server.kube.put('pods', pod('two'))
      await vi.waitFor(() => expect(informer.items.size).toBe(2))

      expect(pauses[3]).toBeGreaterThan(150)
      expect(errors.length).toBeLessThan(server.requests.filter(({ isWatch }) => isWatch).length)
    },
  )

  function expiringStream() {
    const stream = createWatchStream()
    stream.error(410, 'Expired')
    return stream.reply
  }
})

describe('against the objects of an API server', () => {
  it('follows what other clients write, also between the list and the watch', async () => {
    server.kube.put('pods', pod('one'))
    const { items, synced } = start()
    await synced
    server.kube.put('pods', pod('two'))
    server.kube.drop('pods', 'one', 'shop')
    await vi.waitFor(() => expect([...items.keys()]).toEqual(['shop/two']))
  })
})
