import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RegistryClient } from '../../src/registry/registry-client.ts'
import type { CopyResult } from '../../src/mirror/copy-result.ts'
import {
  mirrorPairs,
  pair,
  registriesFor,
  type TestClock,
  testClock,
} from '../support/mirroring.ts'
import { digestOf, dockerListType, indexType, manifestType } from '../support/registry.ts'
import { bytes, startStore, type Store, type StoreOptions } from '../support/store-registry.ts'

let source: Store
let mirror: Store
let clock: TestClock
let registries: RegistryClient

async function start(of: StoreOptions = {}, to: StoreOptions = {}) {
  await stop()
  source = await startStore(of)
  mirror = await startStore(to)
  clock = testClock()
  registries = registriesFor([source.url, mirror.url], clock)
}

async function stop() {
  await registries?.close()
  await source?.close()
  await mirror?.close()
}

beforeEach(() => start())
afterEach(stop)

async function copy(
  options: Parameters<typeof mirrorPairs>[2] = {},
  from = 'team/app:1',
  to = 'app:1',
): Promise<CopyResult> {
  const [result] = await mirrorPairs(
    registries,
    [pair(`${source.host}/${from}`, `${mirror.host}/${to}`)],
    options,
  )
  if (result === undefined) throw new Error('no result')
  return result
}

const isBlobPut = ({ method, path }: { method: string; path: string }) =>
  method === 'PUT' && path.includes('/blobs/')
const isBlobGet = ({ method, path }: { method: string; path: string }) =>
  method === 'GET' && path.includes('/blobs/sha256')

describe('manifests', () => {
  const child = (of: string) => ({
    mediaType: manifestType,
    digest: of,
    size: 1,
    platform: { os: 'linux', architecture: 'arm64' },
  })

  it.each([
    [
      'an index',
      (of: string) => ({
        mediaType: indexType,
        body: JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: [child(of)] }),
      }),
    ],
    [
      'a Docker list',
      (of: string) => ({
        mediaType: dockerListType,
        body: JSON.stringify({
          schemaVersion: 2,
          mediaType: dockerListType,
          manifests: [child(of)],
        }),
      }),
    ],
    [
      'an index with unusual white space and unknown fields',
      (of: string) => ({
        mediaType: indexType,
        body: `{ "schemaVersion" : 2,\n\t"x-unknown": {"a":[1,2]}, "manifests": [ ${JSON.stringify(child(of))} ]  }\n`,
      }),
    ],
    [
      'an artifact of unknown type without layers',
      () => ({
        mediaType: manifestType,
        body: JSON.stringify({
          schemaVersion: 2,
          mediaType: manifestType,
          artifactType: 'application/x.unknown',
          layers: [],
        }),
      }),
    ],
  ])('are copied byte for byte: %s', async (_, make) => {
    const inner = source.addImage('team/app', null)
    const { mediaType, body } = make(inner)
    const digest = source.addManifest('team/app', '1', { mediaType, body: Buffer.from(body) })

    expect(await copy()).toMatchObject({
      status: 'copied',
      sourceDigest: digest,
      mirrorDigest: digest,
    })
    expect(mirror.manifests.get('app')?.get(digest)).toEqual({ mediaType, body: Buffer.from(body) })
  })

  it('are put children first and the tag last, also for nested indexes', async () => {
    const leaf = source.addImage('team/app', null)
    const inner = source.addManifest('team/app', null, {
      mediaType: indexType,
      body: Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: [child(leaf)] }),
      ),
    })
    source.addManifest('team/app', '1', {
      mediaType: indexType,
      body: Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: indexType,
          manifests: [{ ...child(inner), mediaType: indexType }],
        }),
      ),
    })

    await copy()

    const puts = mirror.requests.filter(
      ({ method, path }) => method === 'PUT' && path.includes('/manifests/'),
    )
    expect(puts.map(({ path }) => path.split('/').at(-1))).toEqual([leaf, inner, '1'])
  })
})

describe('an image with too many manifests', () => {
  it('is rejected before it fills the memory', async () => {
    const children = Array.from({ length: 300 }, (_, index) =>
      source.addImage('team/app', null, { layers: [bytes(8, String(index))] }),
    )
    const manifests = children.map((digest) => ({ mediaType: manifestType, digest, size: 1 }))
    const body = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }))
    source.addManifest('team/app', '1', { mediaType: indexType, body })

    const result = await copy()

    expect(result).toMatchObject({ status: 'failed', outcome: 'invalid' })
    expect(result.detail).toContain('more than 300 manifests')
  })
})

describe('a second run', () => {
  it('without the deep check sends two HEADs', async () => {
    source.addImage('team/app', '1')
    await copy()
    source.forgetRequests()
    mirror.forgetRequests()

    expect(await copy({ deep: false })).toMatchObject({ status: 'current' })
    expect([...source.log(), ...mirror.log()]).toEqual([
      'HEAD /v2/team/app/manifests/1',
      'HEAD /v2/app/manifests/1',
    ])
  })

  it('sends only one HEAD to upstream, and writes nothing', async () => {
    source.addImage('team/app', '1')
    await copy()
    source.forgetRequests()
    mirror.forgetRequests()

    expect(await copy()).toMatchObject({ status: 'current', bytesMoved: 0 })
    expect(source.log()).toEqual(['HEAD /v2/team/app/manifests/1'])
    expect(mirror.requests.filter(({ method }) => method !== 'HEAD' && method !== 'GET')).toEqual(
      [],
    )
  })

  it('repairs a mirror that lost a blob of the image', async () => {
    const layer = bytes(3_000)
    source.addImage('team/app', '1', { layers: [layer] })
    await copy()
    mirror.blobs.get('app')?.delete(digestOf(layer))

    expect(await copy()).toMatchObject({ status: 'repaired', bytesMoved: 3_000 })
    expect(mirror.blobs.get('app')?.get(digestOf(layer))).toEqual(layer)
  })

  it('repairs a mirror that lost a child of an index', async () => {
    const leaf = source.addImage('team/app', null)
    source.addManifest('team/app', '1', {
      mediaType: indexType,
      body: Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          manifests: [{ mediaType: manifestType, digest: leaf, size: 1 }],
        }),
      ),
    })
    await copy()
    mirror.manifests.get('app')?.delete(leaf)

    expect(await copy()).toMatchObject({ status: 'repaired' })
    expect(mirror.manifests.get('app')?.has(leaf)).toBe(true)
  })
})

describe('a process that is killed at any request', () => {
  it('leaves the old image or the complete new one, and the next run finishes', async () => {
    const run = async (killAt: number | null) => {
      await start()
      source.addImage('team/app', '1', { layers: [bytes(2_000, 'a'), bytes(2_000, 'b')] })
      const old = mirror.addImage('app', '1', { layers: [bytes(10)] })
      let count = 0
      const killed = new AbortController()
      const kill = () => {
        count += 1
        if (count === killAt) killed.abort('SIGKILL')
        // A killed process receives no response.
        return killed.signal.aborted ? ({ cutAfter: true } as const) : null
      }
      source.fault(kill)
      mirror.fault(kill)
      await copy({ signal: killed.signal })
      const requests = count
      source.fault(() => null)
      mirror.fault(() => null)
      const tagged = mirror.tags.get('app')?.get('1') ?? ''
      const isNew = isComplete(tagged)
      const again = await copy()
      return {
        requests,
        isOldOrComplete: tagged === old || isNew,
        again: again.status,
        isFinished: mirror.tags.get('app')?.get('1') === again.sourceDigest,
      }
    }
    const { requests } = await run(null)
    expect(requests).toBeGreaterThan(10)
    for (let killAt = 1; killAt <= requests; killAt++) {
      const { isOldOrComplete, again, isFinished } = await run(killAt)
      expect({ killAt, isOldOrComplete, isFinished }).toEqual({
        killAt,
        isOldOrComplete: true,
        isFinished: true,
      })
      expect(['copied', 'current']).toContain(again)
    }
  })

  function isComplete(digest: string): boolean {
    const manifest = mirror.manifests.get('app')?.get(digest)
    if (manifest === undefined) return false
    const { config, layers } = JSON.parse(manifest.body.toString()) as {
      config: { digest: string }
      layers: { digest: string }[]
    }
    return [config, ...layers].every((each) => mirror.blobs.get('app')?.has(each.digest))
  }
})

describe('a source that sends wrong content', () => {
  it('for a blob fails the copy, and the mirror stores nothing of it', async () => {
    const layer = bytes(300_000)
    source.addImage('team/app', '1', { layers: [layer] })
    source.fault((request) =>
      isBlobGet(request) && request.path.endsWith(digestOf(layer))
        ? { body: Buffer.alloc(300_000) }
        : null,
    )

    const result = await copy()

    expect(result).toMatchObject({ status: 'failed', outcome: 'invalid' })
    expect(result.detail).toContain('does not match its digest')
    expect(mirror.blobs.get('app')?.has(digestOf(layer)) ?? false).toBe(false)
    expect(mirror.tags.get('app')?.has('1') ?? false).toBe(false)
    expect(mirror.uploads.size).toBe(0)
  })

  it('for a manifest fails the copy', async () => {
    source.addImage('team/app', '1')
    source.fault(({ method }) => (method === 'GET' ? { body: Buffer.from('{}') } : null))

    expect(await copy()).toMatchObject({ status: 'failed', outcome: 'invalid' })
  })
})

describe('a mirror that serves another digest after the copy', () => {
  it('fails the copy', async () => {
    source.addImage('team/app', '1')
    let isStored = false
    mirror.fault(({ method, path }) => {
      if (method === 'PUT' && path.endsWith('/manifests/1')) isStored = true
      const other = `sha256:${'0'.repeat(64)}`
      return isStored && method === 'HEAD'
        ? {
            status: 200,
            headers: {
              'docker-content-digest': other,
              'content-length': '5',
              'content-type': manifestType,
            },
          }
        : null
    })

    const result = await copy()

    expect(result.status).toBe('failed')
    expect(result.detail).toContain('another writer')
  })
})

describe('a layer that two images share', () => {
  const base = bytes(5_000, 'base')

  async function copyBoth() {
    source.addImage('team/one', '1', { layers: [base] })
    source.addImage('team/two', '1', { layers: [base] })
    return mirrorPairs(registries, [
      pair(`${source.host}/team/one:1`, `${mirror.host}/one:1`),
      pair(`${source.host}/team/two:1`, `${mirror.host}/two:1`),
    ])
  }

  it('is downloaded once', async () => {
    const results = await copyBoth()

    expect(results.map(({ status }) => status)).toEqual(['copied', 'copied'])
    const gets = source.requests.filter(
      (request) => isBlobGet(request) && request.path.endsWith(digestOf(base)),
    )
    expect(gets).toHaveLength(1)
  })

  it.each([202, 400, 401, 403, 404, 405, 500])(
    'is uploaded if the mirror answers a mount with %i',
    async (status) => {
      if (status === 202) await start({}, { mounts: false })
      else mirror.fault(({ path }) => (path.includes('mount=') ? { status } : null))

      const results = await copyBoth()

      expect(results.map(({ status: end }) => end)).toEqual(['copied', 'copied'])
      expect(mirror.blobs.get('two')?.get(digestOf(base))).toEqual(base)
      expect(mirror.requests.filter(({ path }) => path.includes('mount='))).toHaveLength(1)
    },
  )
})

describe('an upload', () => {
  const layer = bytes(40 * 1024 * 1024)

  it('is sent in chunks if the mirror rejects one request', async () => {
    source.addImage('team/app', '1', { layers: [layer] })
    mirror.fault((request) =>
      isBlobPut(request) &&
      request.headers['content-range'] === undefined &&
      Number(request.headers['content-length']) > 1_000_000
        ? { status: 413 }
        : null,
    )

    expect(await copy()).toMatchObject({ status: 'copied' })
    expect(mirror.requests.filter(({ method }) => method === 'PATCH')).toHaveLength(2)
    expect(mirror.blobs.get('app')?.get(digestOf(layer))?.equals(layer)).toBe(true)
  })

  it('resumes where the mirror closed the connection', async () => {
    source.addImage('team/app', '1', { layers: [layer] })
    let isCut = false
    mirror.fault((request) => {
      if (isCut || !isBlobPut(request) || Number(request.headers['content-length']) < 1_000_000)
        return null
      isCut = true
      return { cutAt: 30 * 1024 * 1024 }
    })

    expect(await copy()).toMatchObject({ status: 'copied' })
    const ranges = mirror.requests.map(({ headers }) => headers['content-range']).filter(Boolean)
    expect(ranges).toEqual([`${30 * 1024 * 1024}-${layer.length - 1}`])
    expect(mirror.blobs.get('app')?.get(digestOf(layer))?.equals(layer)).toBe(true)
  })

  it('succeeds on a registry that repeats the range of the first chunk', async () => {
    source.addImage('team/app', '1', { layers: [layer] })
    mirror.fault((request) => {
      if (
        isBlobPut(request) &&
        request.headers['content-range'] === undefined &&
        Number(request.headers['content-length']) > 1_000_000
      )
        return { status: 405 }
      return request.method === 'PATCH' ? { change: { range: `0-${16 * 1024 * 1024 - 1}` } } : null
    })

    expect(await copy()).toMatchObject({ status: 'copied' })
    expect(mirror.requests.filter(({ method }) => method === 'PATCH')).toHaveLength(2)
  })

  it('is canceled when it fails', async () => {
    source.addImage('team/app', '1')
    mirror.fault((request) => (isBlobPut(request) ? { status: 403 } : null))

    expect(await copy()).toMatchObject({ status: 'failed', outcome: 'denied' })
    expect(mirror.uploads.size).toBe(0)
  })
})

describe('a download whose connection is closed', () => {
  const layer = bytes(1_000_000)

  it.each([
    ['resumes with a range', true],
    ['starts again on a registry without ranges', false],
  ])('%s', async (_, ranges) => {
    await start({ ranges })
    source.addImage('team/app', '1', { layers: [layer] })
    let cuts = 0
    source.fault((request) => {
      if (!isBlobGet(request) || !request.path.endsWith(digestOf(layer))) return null
      cuts += 1
      return cuts < 3 ? { cutAt: 200_000 } : null
    })

    expect(await copy()).toMatchObject({ status: 'copied' })
    expect(mirror.blobs.get('app')?.get(digestOf(layer))?.equals(layer)).toBe(true)
    const ranged = source.requests.filter(({ headers }) => headers.range !== undefined)
    expect(ranged.length).toBe(2)
  })
})

describe('a registry that is overloaded', () => {
  it.each([
    ['seconds', '7'],
    ['a date', new Date(7_000).toUTCString()],
  ])('is asked again after its Retry-After in %s', async (_, retryAfter) => {
    source.addImage('team/app', '1')
    source.fault((_, count) =>
      count === 1 ? { status: 429, headers: { 'retry-after': retryAfter } } : null,
    )

    expect(await copy()).toMatchObject({ status: 'copied' })
    expect(Math.max(...clock.waits)).toBe(7_000)
  })

  it('is not asked again if its Retry-After is hours', async () => {
    source.addImage('team/app', '1')
    source.fault(() => ({ status: 429, headers: { 'retry-after': '21600' } }))

    expect(await copy()).toMatchObject({ status: 'failed', outcome: 'limited' })
    expect(clock.waits).toEqual([])
  })

  it('gets at most five requests', async () => {
    source.addImage('team/app', '1')
    source.fault(() => ({ status: 503 }))

    expect(await copy()).toMatchObject({ status: 'failed', outcome: 'unreachable' })
    expect(source.requests).toHaveLength(5)
  })

  it('gets no pull if fewer pulls are left than the quota floor', async () => {
    source.addImage('team/app', '1')
    source.fault(({ method }) =>
      method === 'HEAD' ? { change: { 'ratelimit-remaining': '9;w=21600' } } : null,
    )

    const result = await copy()

    expect(result).toMatchObject({ status: 'failed', outcome: 'limited' })
    expect(result.detail).toContain('allows 9 more pulls, fewer than the quota floor of 10')
    expect(source.requests.filter(({ method }) => method === 'GET')).toEqual([])
  })
})

describe('an aborted signal', () => {
  it('cancels open uploads, and fails the image as stopped', async () => {
    source.addImage('team/app', '1', { layers: [bytes(2_000_000)] })
    const stopping = new AbortController()
    mirror.fault((request) => {
      if (isBlobPut(request)) stopping.abort('SIGTERM')
      return null
    })

    const result = await copy({ signal: stopping.signal })

    expect(result).toMatchObject({ status: 'failed', detail: 'stopped' })
    expect(mirror.uploads.size).toBe(0)
    expect(mirror.tags.get('app')?.has('1') ?? false).toBe(false)
  })
})

describe('a tag that does not exist', () => {
  it('fails with the tags of all pages, the most similar first', async () => {
    await start({ pageSize: 2 })
    for (const tag of ['almalinux-9', 'fedora-39', 'fedora-40', 'rocky-8', 'latest-dev'])
      source.addImage('team/app', tag)

    const result = await copy({}, 'team/app:latest', 'app:1')

    expect(result).toMatchObject({ status: 'failed', outcome: 'absent' })
    expect(result.tags).toHaveLength(5)
    expect(result.tags?.[0]).toBe('latest-dev')
  })
})

describe('a registry that returns all tags in one page', () => {
  it.each([
    ['may return 150,000 tags', 150_000, 'has no such image'],
    [
      'keeps the error about the missing tag if the page exceeds 2 MiB',
      300_000,
      'has no such image',
    ],
  ])('%s', async (_, count, detail) => {
    await start()
    const tags = Array.from({ length: count }, (__, at) => `t${at}`)
    const body = Buffer.from(JSON.stringify({ name: 'team/app', tags }))
    source.fault(({ path }) => (path.includes('/tags/') ? { body } : null))
    source.addImage('team/app', 'v1')

    const result = await copy({}, 'team/app:t', 'app:1')

    expect(result).toMatchObject({ status: 'failed', outcome: 'absent' })
    expect(result.detail).toContain(detail)
  })
})

describe('a pair with a tag and a digest', () => {
  it('copies the digest, and does not move an existing tag of the mirror', async () => {
    const old = source.addImage('team/app', '1')
    const newer = mirror.addImage('app', '1', { layers: [bytes(9)] })

    expect(await copy({}, `team/app:1@${old}`, `app:1@${old}`)).toMatchObject({
      status: 'copied',
      mirrorDigest: old,
    })
    expect(mirror.tags.get('app')?.get('1')).toBe(newer)
  })

  it('adds the tag if the mirror does not have it', async () => {
    const digest = source.addImage('team/app', '1')

    await copy({}, `team/app:1@${digest}`, `app:1@${digest}`)

    expect(mirror.tags.get('app')?.get('1')).toBe(digest)
  })
})

describe('a registry that does not create repositories on push', () => {
  it('gets each missing repository once, if that is allowed', async () => {
    const repositories = new Set<string>()
    await start({}, { repositories })
    source.addImage('team/app', '1')
    const created: string[] = []
    const createRepository = (host: string, name: string) => {
      created.push(`${host}/${name}`)
      repositories.add(name)
      return Promise.resolve(true)
    }

    expect(await copy({ createRepository })).toMatchObject({ status: 'copied' })
    expect(created).toEqual([`${mirror.host}/app`])
  })

  it('fails the copy if that is not allowed', async () => {
    await start({}, { repositories: new Set() })
    source.addImage('team/app', '1')

    const result = await copy()

    expect(result).toMatchObject({ status: 'failed', outcome: 'denied' })
    expect(result.detail).toContain('create it')
  })
})

describe('a registry with immutable tags', () => {
  it('gets one request to move a tag, and fails the copy', async () => {
    source.addImage('team/app', '1')
    mirror.addImage('app', '1', { layers: [bytes(3)] })
    mirror.fault(({ method, path }) =>
      method === 'PUT' && path.endsWith('/manifests/1')
        ? { status: 400, code: 'TAG_INVALID' }
        : null,
    )

    const result = await copy()

    expect(result.detail).toContain('its tags are immutable')
    expect(mirror.log().filter((line) => line === 'PUT /v2/app/manifests/1')).toHaveLength(1)
  })
})
