import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KubeApi, PatchKind } from '../../src/kube/api-client.ts'
import { hasStatus, KubeError } from '../../src/kube/error.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import {
  delayed,
  dropAfter,
  replyJson,
  replyPage,
  replySlowly,
  replyStatus,
  replyText,
  resetConnection,
  type ScriptedApiServer,
  stall,
  stallAfter,
  startScriptedApiServer,
} from '../support/scripted-api-server.ts'

let server: ScriptedApiServer
let api: KubeApi
/** The pauses that the client made before it retried, in milliseconds. */
let pauses: number[]

beforeEach(async () => {
  server = await startScriptedApiServer()
  pauses = []
  api = createApi()
})

afterEach(() => server.close())

const secrets = { apiVersion: 'v1', resource: 'secrets', namespace: 'shop' }
const secret = { ...secrets, name: 'pull' }

function createApi(tokens?: readonly string[], timeoutMs = 60_000): KubeApi {
  return server.api({
    ...(tokens === undefined ? {} : { tokens }),
    timeoutMs,
    sleep: (milliseconds) => {
      pauses.push(milliseconds)
      return Promise.resolve()
    },
  })
}

function object(name = 'pull', data = 'v1'): KubeObject & { data: string } {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'shop' }, data }
}

async function errorOf(work: Promise<unknown>): Promise<KubeError> {
  const error = await work.then(
    () => new Error('no error was thrown'),
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(KubeError)
  return error as KubeError
}

const tokensOf = () => server.requests.map(({ headers }) => headers.authorization)

describe('objects', () => {
  it('are created, read, replaced, patched and deleted', async () => {
    const created = await api.create<KubeObject>(secrets, object())
    expect(await api.get(secret)).toEqual(created)
    await api.replace(secret, { ...created, data: 'v2' })
    await api.patch(secret, 'merge', { extra: true })

    expect(await api.get(secret)).toMatchObject({ data: 'v2', extra: true })
    expect(await api.delete(secret)).toBe(true)
    expect(await api.delete(secret)).toBe(false)
    expect(await api.get(secret)).toBeNull()
  })

  it('are replaced only if their version is the stored one', async () => {
    const old = await api.create<KubeObject>(secrets, object())
    server.kube.put('secrets', object('pull', 'v2'))
    const error = await errorOf(api.replace(secret, { ...old, data: 'v3' }))

    expect(hasStatus(error, 409) && error.reason).toBe('Conflict')
    expect(error.code).toBe('cluster-refused')
    expect(server.kube.get('secrets', 'pull', 'shop')).toMatchObject({ data: 'v2' })
  })

  it('are deleted only if the precondition holds', async () => {
    const created = await api.create<KubeObject>(secrets, object())
    const error = await errorOf(api.delete(secret, { uid: 'another' }))
    expect(error.status).toBe(409)

    const { uid } = created.metadata
    expect(await api.delete(secret, { uid })).toBe(true)
    expect(JSON.parse(server.requests.at(-1)?.body ?? '')).toEqual({
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions: { uid },
    })
  })

  it.each<[PatchKind, object, string]>([
    ['merge', { data: 'v2' }, 'application/merge-patch+json'],
    ['json', [{ op: 'add', path: '/data', value: 'v2' }], 'application/json-patch+json'],
    ['strategic', { data: 'v2' }, 'application/strategic-merge-patch+json'],
  ])('are patched with a %s patch', async (kind, patch, contentType) => {
    server.kube.put('secrets', object())
    expect(await api.patch(secret, kind, patch)).toMatchObject({ data: 'v2' })

    const [request] = server.requests
    expect(request?.method).toBe('PATCH')
    expect(request?.headers['content-type']).toBe(contentType)
    expect(request?.query).toEqual({ fieldManager: 'berth' })
  })

  it('are only checked in a dry run', async () => {
    await api.create(secrets, object(), { dryRun: true })

    expect(server.requests[0]?.query).toEqual({ fieldManager: 'berth', dryRun: 'All' })
  })

  it('are read as metadata only on request', async () => {
    server.kube.put('secrets', object())
    await api.get(secret, { metadataOnly: true })
    for await (const each of api.list(secrets, { metadataOnly: true }))
      expect(each.metadata.name).toBe('pull')

    expect(server.requests.map(({ headers }) => headers.accept)).toEqual([
      'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
      'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
    ])
  })

  it('are addressed by group, namespace, name and subresource', async () => {
    server.script({ method: 'POST' }, replyJson({ metadata: {} }))
    await api.create(
      {
        apiVersion: 'apps/v1',
        resource: 'deployments',
        namespace: 'a b',
        name: 'web',
        subresource: 'scale',
      },
      object(),
    )

    expect(server.requests[0]?.path).toBe('/apis/apps/v1/namespaces/a%20b/deployments/web/scale')
  })
})

describe('a list', () => {
  it('is read page by page, and ends with the version of the last page', async () => {
    server.script(
      { method: 'GET' },
      replyPage([object('one')], { resourceVersion: '5', next: 'more' }),
      replyPage([], { resourceVersion: '5', next: 'still more' }),
      replyPage([object('two')], { resourceVersion: '6', next: '' }),
    )
    const pages = api.list(secrets, { labelSelector: 'a=b', fieldSelector: 'type=x' })
    const names: string[] = []
    let last = await pages.next()
    for (; last.done !== true; last = await pages.next()) names.push(last.value.metadata.name)

    expect(names).toEqual(['one', 'two'])
    expect(last.value).toEqual({ resourceVersion: '6' })
    expect(server.requests.map(({ query }) => query['continue'])).toEqual([
      undefined,
      'more',
      'still more',
    ])
    expect(server.requests[2]?.query).toMatchObject({
      labelSelector: 'a=b',
      fieldSelector: 'type=x',
    })
  })

  it('can be one page of limited size, without retries', async () => {
    const page = { limit: 2, maxBytes: 1_000 }
    const list = () => api.list(secrets, { page })
    server.script(
      { method: 'GET' },
      replyPage([object('one'), object('two')], { next: 'more' }),
      replyPage([object('x'.repeat(1_000))], {}),
      replyStatus(429, 'TooManyRequests', { 'retry-after': '1' }),
    )
    const pages = list()
    const names = [await pages.next(), await pages.next()].map(
      ({ value }) => (value as KubeObject).metadata.name,
    )

    expect(names).toEqual(['one', 'two'])
    expect(await pages.next()).toMatchObject({ done: true })
    expect((await errorOf(list().next())).message).toContain('more than 1000 bytes')
    expect((await errorOf(list().next())).status).toBe(429)
    expect(server.requests.map(({ query }) => query['limit'])).toEqual(['2', '2', '2'])
    expect(pauses).toEqual([])
  })

  it('is empty when the items of metadata are null', async () => {
    server.script({ method: 'GET' }, replyPage(null, {}))

    expect(await api.list(secrets, { metadataOnly: true }).next()).toMatchObject({ done: true })
  })
})

describe('status 401', () => {
  it('makes the client read its token again, and then retry once', async () => {
    api = createApi(['expired', 'fresh'])
    server.script({}, replyStatus(401, 'Unauthorized'))
    server.kube.put('secrets', object())

    expect(await api.get(secret)).toMatchObject({ data: 'v1' })
    expect(tokensOf()).toEqual(['Bearer expired', 'Bearer fresh'])
    expect(pauses).toEqual([])
  })

  it('is an error when the new token is rejected too', async () => {
    api = createApi(['expired', 'revoked', 'unused'])
    server.scriptAlways({}, replyStatus(401, 'Unauthorized'))
    const error = await errorOf(api.get(secret))

    expect(error).toMatchObject({ status: 401, code: 'cluster-forbidden' })
    expect(tokensOf()).toEqual(['Bearer expired', 'Bearer revoked'])
  })

  it('makes later requests use the new token', async () => {
    api = createApi(['expired', 'fresh', 'unused'])
    server.script({}, replyStatus(401, 'Unauthorized'))
    await api.get(secret)
    await api.get(secret)

    expect(tokensOf()).toEqual(['Bearer expired', 'Bearer fresh', 'Bearer fresh'])
  })
})

describe('status 429', () => {
  const tooMany = (seconds: string) =>
    replyStatus(429, 'TooManyRequests', { 'retry-after': seconds })

  it('is retried after the seconds in Retry-After', async () => {
    server.script({ method: 'POST' }, tooMany('1'), tooMany('20'))
    await api.create(secrets, object())

    expect(pauses).toEqual([1_000, 20_000])
    expect(server.requests.map(({ body }) => body)).toEqual(Array(3).fill(JSON.stringify(object())))
  })

  it('is an error without Retry-After, as an eviction gets from a PodDisruptionBudget', async () => {
    server.script({ method: 'POST' }, replyStatus(429, 'TooManyRequests'))
    const error = await errorOf(api.create(secrets, object()))

    expect(error).toMatchObject({ status: 429, code: 'cluster-unreachable' })
    expect(server.requests).toHaveLength(1)
  })

  it.each(['soon', '-1', '3600'])('is an error with Retry-After %s', async (seconds) => {
    server.script({ method: 'GET' }, tooMany(seconds))

    expect(await errorOf(api.get(secret))).toMatchObject({ status: 429 })
    expect(pauses).toEqual([])
  })

  it('is an error after ten retries', async () => {
    server.scriptAlways({}, tooMany('1'))

    expect(await errorOf(api.get(secret))).toMatchObject({ status: 429 })
    expect(pauses).toEqual(Array(10).fill(1_000))
  })

  it('is not waited for after the signal has aborted', async () => {
    const stop = new AbortController()
    const waiting = server.api({ sleep: () => Promise.resolve(stop.abort(new Error('stopped'))) })
    server.scriptAlways({}, tooMany('1'))

    await expect(waiting.get(secret, { signal: stop.signal })).rejects.toThrow('stopped')
    expect(server.requests).toHaveLength(1)
  })
})

describe('a failure', () => {
  it('names the object, the status and the reason that the API server gives', async () => {
    server.script({}, replyStatus(422, 'Invalid'))
    const error = await errorOf(api.create(secrets, object()))

    expect(error).toMatchObject({
      status: 422,
      reason: 'Invalid',
      code: 'cluster-refused',
      message: 'the API server answered 422 about secrets shop: scripted Invalid',
    })
  })

  it('of a proxy has no reason', async () => {
    server.script({}, replyText(502, '<html>Bad Gateway</html>'))
    const error = await errorOf(api.get(secret))

    expect(error).toMatchObject({
      status: 502,
      reason: '',
      code: 'cluster-unreachable',
      message: 'the API server answered 502 about secrets shop/pull',
    })
  })

  it('with status 503 and Retry-After is retried, as while an API server starts', async () => {
    server.script({}, replyStatus(503, 'ServiceUnavailable', { 'retry-after': '1' }))

    expect(await api.get(secret)).toBeNull()
    expect(pauses).toEqual([1_000])
  })

  it('with status 403 is `cluster-forbidden`', async () => {
    server.script({}, replyStatus(403, 'Forbidden'))

    expect(await errorOf(api.get(secret))).toMatchObject({ status: 403, code: 'cluster-forbidden' })
  })

  it.each([
    ['is reset', resetConnection(), 'does not answer the request for secrets shop/pull'],
    ['drops inside the body', dropAfter('{"metadata":'), 'the response about secrets shop/pull'],
    [
      'ends inside the JSON',
      replyText(200, '{"metadata":'),
      'the response about secrets shop/pull',
    ],
  ])('of a connection that %s is `cluster-unreachable`', async (_, reply, message) => {
    server.script({}, reply)
    const error = await errorOf(api.get(secret))

    expect(error).toMatchObject({ status: null, code: 'cluster-unreachable' })
    expect(error.message).toContain(message)
  })

  it('to connect names the server', async () => {
    await server.pause()
    const error = await errorOf(api.get(secret))

    expect(error.message).toContain(`${server.url} does not answer`)
    expect(error.message).toContain('ECONNREFUSED')
  })
})

describe('a timeout', () => {
  it.each([
    ['headers', stall(), 'UND_ERR_HEADERS_TIMEOUT'],
    ['the rest of a body', stallAfter('{"metadata":'), 'UND_ERR_BODY_TIMEOUT'],
  ])('ends the wait for %s', async (_, reply, code) => {
    api = createApi(undefined, 100)
    server.script({}, reply)
    const error = await errorOf(api.get(secret))

    expect(error).toMatchObject({ status: null, code: 'cluster-unreachable' })
    expect(error.message).toContain(code)
  })

  it('does not end a slow body that makes progress', async () => {
    api = createApi(undefined, 5_000)
    server.script({}, replySlowly(object(), 16, 10))

    expect(await api.get(secret)).toMatchObject({ data: 'v1' })
  })

  it('does not end a watch that is silent', async () => {
    api = createApi(undefined, 50)
    const stop = new AbortController()
    server.script({ isWatch: true }, stallAfter('first'))
    const lines = await api.watch(secrets, {}, { signal: stop.signal })
    const chunks = lines[Symbol.asyncIterator]()
    expect(String((await chunks.next()).value)).toBe('first')
    const next = chunks.next()
    // Headers of another request time out meanwhile.
    server.script({ isWatch: false }, stall())
    await errorOf(api.get(secret))
    const settled = await Promise.race([next.then(() => true), Promise.resolve(false)])

    expect(settled).toBe(false)
    stop.abort()
    await expect(next).rejects.toThrow('aborted')
  })
})

describe('an abort', () => {
  it.each([
    ['before the request', () => AbortSignal.abort(new Error('stopped'))],
    ['while the server is silent', () => AbortSignal.timeout(50)],
  ])('%s rejects with the reason of the signal', async (_, createSignal) => {
    server.scriptAlways({}, stall())
    const signal = createSignal()
    const error: unknown = await api.get(secret, { signal }).catch((thrown: unknown) => thrown)

    expect(error).toBe(signal.reason)
  })

  it('inside the body rejects', async () => {
    const stop = new AbortController()
    server.script({}, (response, request) => {
      void stallAfter('{"metadata":')(response, request)
      setTimeout(() => stop.abort(), 20)
    })

    await expect(api.get(secret, { signal: stop.signal })).rejects.not.toBeInstanceOf(KubeError)
  })
})

describe('connections', () => {
  it('are kept between requests', async () => {
    for (let count = 0; count < 20; count++) await api.get(secret)

    expect(server.connections()).toBeLessThan(4)
  })

  it('are new after `reconnect`, and running requests end on the old ones', async () => {
    server.script({}, delayed(100, replyJson(object('slow'))))
    const running = api.get(secret)
    await server.waitForRequests({})
    api.reconnect()
    expect(await api.get(secret)).toBeNull()

    expect(server.connections()).toBe(2)
    expect(await running).toMatchObject({ metadata: { name: 'slow' } })
  })
})

describe('`getRaw`', () => {
  it('returns the JSON at any path', async () => {
    server.script({ path: '/version' }, replyJson({ major: '1' }))

    expect(await api.getRaw('/version')).toEqual({ major: '1' })
  })
})
