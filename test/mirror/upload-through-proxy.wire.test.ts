import { afterEach, describe, expect, it } from 'vitest'
import type { CopyResult } from '../../src/mirror/copy-result.ts'
import type { RegistryClient } from '../../src/registry/registry-client.ts'
import { mirrorPairs, pair, registriesFor } from '../support/mirroring.ts'
import { digestOf, manifestType } from '../support/registry.ts'
import { bytes, startStore, type Store, type StoreOptions } from '../support/store-registry.ts'

const open: Store[] = []
let registries: RegistryClient
let source: Store
let mirror: Store

async function start(options: StoreOptions = {}) {
  source = await startStore()
  mirror = await startStore(options)
  open.push(source, mirror)
  registries = registriesFor([source.url, mirror.url])
}

afterEach(async () => {
  await registries.close()
  await Promise.all(open.splice(0).map((one) => one.close()))
})

async function copy(tag = '1'): Promise<CopyResult> {
  const pairs = [pair(`${source.host}/app:${tag}`, `${mirror.host}/app:${tag}`)]
  const [result] = await mirrorPairs(registries, pairs)
  if (result === undefined) throw new Error('no result')
  return result
}

const mebibyte = 1024 * 1024

/** Answers 413 for larger requests, as nginx does for `client_max_body_size`. */
function limitRequests(maxBytes: number) {
  mirror.fault(({ headers }) =>
    Number(headers['content-length'] ?? 0) > maxBytes ? { status: 413 } : null,
  )
}

/** The sizes of the parts of blobs that were sent, in MiB. */
function sentParts(): number[] {
  return mirror.requests
    .filter(({ method, path }) => method !== 'POST' && path.includes('/uploads/'))
    .map(({ headers }) => Number(headers['content-length'] ?? 0) / mebibyte)
    .filter((size) => size > 0.5)
}

describe('an upload whose Location has', () => {
  const shapes: readonly [string, (path: string) => string][] = [
    ['a path', (path) => path],
    ['the own host', (path) => `http://${mirror.host}${path}`],
    ['the own host with another scheme', (path) => `https://${mirror.host}${path}`],
    ['the own host without a port', (path) => `http://127.0.0.1${path}`],
    ['the own host with https and without a port', (path) => `https://127.0.0.1${path}`],
    ['the own host without a scheme', (path) => `//${mirror.host}${path}`],
    ['another path prefix', (path) => `http://${mirror.host}/backend${path}`],
  ]

  it.each(shapes)('%s goes to the endpoint', async (_, location) => {
    await start({ location })
    const digest = source.addImage('app', '1', { layers: [bytes(1_000)] })

    expect(await copy()).toMatchObject({ status: 'copied', mirrorDigest: digest })
  })

  it.each(shapes)('%s goes below the path prefix of the endpoint', async (_, location) => {
    await start({ location, prefix: '/cache/hub' })
    const digest = source.addImage('app', '1', { layers: [bytes(1_000)] })

    expect(await copy()).toMatchObject({ status: 'copied', mirrorDigest: digest })
    expect(mirror.requests.every(({ path }) => path.startsWith('/cache/hub/v2/'))).toBe(true)
  })

  it('another host, which wants credentials, fails with both hosts', async () => {
    const storage = await startStore()
    open.push(storage)
    storage.fault(() => ({ status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } }))
    await start({ location: (path) => `${storage.url}${path}` })
    source.addImage('app', '1')

    const { status, detail } = await copy()

    expect(status).toBe('failed')
    expect(detail).toContain(
      `401 UNKNOWN from ${storage.host}; ${mirror.host} sends the request there, but gets credentials only at ${mirror.url}`,
    )
  })
})

describe('a proxy that limits the size of requests', () => {
  it.each([
    [17, [40, 16, 16, 8]],
    [5, [40, 16, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]],
    [2, [40, 16, 4, ...Array.from({ length: 40 }, () => 1)]],
  ])('to %d MiB gets smaller chunks', async (limit, parts) => {
    await start()
    const layer = bytes(40 * mebibyte)
    source.addImage('app', '1', { layers: [layer] })
    limitRequests(limit * mebibyte)

    expect(await copy()).toMatchObject({ status: 'copied' })
    expect(sentParts()).toEqual(parts)
    expect(mirror.blobs.get('app')?.get(digestOf(layer))?.equals(layer)).toBe(true)
  })

  it.each([
    [5, [40, 40, 16, ...Array.from({ length: 10 }, () => 4)]],
    [2, [40, 40, 16, 4, ...Array.from({ length: 40 }, () => 1)]],
  ])('to %d MiB and closes the connection gets smaller chunks', async (limit, parts) => {
    await start()
    const layer = bytes(40 * mebibyte)
    source.addImage('app', '1', { layers: [layer] })
    mirror.fault(({ headers }) =>
      Number(headers['content-length'] ?? 0) > limit * mebibyte ? { cut: true } : null,
    )

    expect(await copy()).toMatchObject({ status: 'copied' })
    expect(sentParts()).toEqual(parts)
    expect(mirror.blobs.get('app')?.get(digestOf(layer))?.equals(layer)).toBe(true)
  })

  it('gets the small chunks at once for the next blobs', async () => {
    await start()
    source.addImage('app', '1', { layers: [bytes(3 * mebibyte, 'a')] })
    source.addImage('app', '2', { layers: [bytes(3 * mebibyte, 'b')] })
    limitRequests(mebibyte)
    await copy('1')
    const first = sentParts()
    mirror.forgetRequests()

    expect(await copy('2')).toMatchObject({ status: 'copied' })
    expect([first, sentParts()]).toEqual([
      [3, 1, 1, 1],
      [1, 1, 1],
    ])
  })

  it('below 1 MiB fails with what to change', async () => {
    await start()
    source.addImage('app', '1', { layers: [bytes(3 * mebibyte)] })
    limitRequests(mebibyte / 2)

    const { status, detail } = await copy()

    expect(status).toBe('failed')
    expect(detail).toMatch(
      /^413 UNKNOWN from .*limits the size of requests \(nginx: client_max_body_size\)$/,
    )
    expect(mirror.uploads.size).toBe(0)
  })
})

describe('a registry that refuses a manifest', () => {
  it.each([
    [400, 'MANIFEST_INVALID'],
    [415, 'UNSUPPORTED'],
  ])('with %d %s: the message names the media type', async (status, code) => {
    await start()
    source.addImage('app', '1')
    mirror.fault(({ method, path }) =>
      method === 'PUT' && path.includes('/manifests/') ? { status, code } : null,
    )

    expect((await copy()).detail).toContain(
      `${status} ${code} from ${mirror.host} for PUT of manifest app:1; the registry may not support its media type ${manifestType}`,
    )
  })
})

describe('a download that is redirected to a host that wants credentials', () => {
  it('fails with the name of that host', async () => {
    const storage = await startStore()
    open.push(storage)
    storage.fault(() => ({ status: 403, code: 'DENIED' }))
    await start()
    source.addImage('app', '1')
    source.fault(({ method, path }) =>
      method === 'GET' && path.includes('/blobs/')
        ? { status: 307, headers: { location: `${storage.url}/x` } }
        : null,
    )

    expect((await copy()).detail).toContain(
      `403 DENIED (after a redirect to ${storage.host}, which gets no credentials) from ${source.host}`,
    )
  })
})
