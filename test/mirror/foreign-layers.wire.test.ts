import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CopyResult } from '../../src/mirror/copy-result.ts'
import type { RegistryClient } from '../../src/registry/registry-client.ts'
import { mirrorPairs, pair, registriesFor } from '../support/mirroring.ts'
import { digestOf, manifestType } from '../support/registry.ts'
import { bytes, startStore, type Store } from '../support/store-registry.ts'

const layer = bytes(5_000, 'foreign')
const layerDigest = digestOf(layer)

let source: Store
let mirror: Store
let vendor: Store
let registries: RegistryClient

beforeEach(async () => {
  source = await startStore()
  mirror = await startStore()
  vendor = await startStore()
  registries = registriesFor([source.url, mirror.url])
})

afterEach(async () => {
  await registries.close()
  await Promise.all([source, mirror, vendor].map((store) => store.close()))
})

interface Image {
  /** True: the source has the layer. */
  readonly hasLayer?: boolean
  readonly urls?: readonly unknown[]
  readonly type?: string
}

/** Adds an image with one foreign layer to the source. */
function addImage({
  hasLayer = false,
  urls = [`${vendor.url}/v2/windows/blobs/${layerDigest}`],
  type = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
}: Image = {}): string {
  const entry = { mediaType: type, digest: layerDigest, size: layer.length, urls }
  const digest = source.addImage('app', '1', { layers: [layer], more: { layers: [entry] } })
  if (!hasLayer) source.blobs.get('app')?.delete(layerDigest)
  return digest
}

async function copy(options: Parameters<typeof mirrorPairs>[2] = {}): Promise<CopyResult> {
  const pairs = [pair(`${source.host}/app:1`, `${mirror.host}/app:1`)]
  const [result] = await mirrorPairs(registries, pairs, options)
  if (result === undefined) throw new Error('no result')
  return result
}

const onMirror = () => mirror.blobs.get('app')?.get(layerDigest)

/** Makes the vendor serve the layer. */
function serve() {
  vendor.blobs.set('windows', new Map([[layerDigest, layer]]))
}

describe('a foreign layer', () => {
  it.each([
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
  ])('of the type %s is copied if the source has it', async (type) => {
    const digest = addImage({ hasLayer: true, type })

    expect(await copy()).toMatchObject({ status: 'copied', mirrorDigest: digest })
    expect(onMirror()?.equals(layer)).toBe(true)
    expect(vendor.requests).toEqual([])
  })

  it('that the source does not have fails the copy, and the message names it and the option', async () => {
    addImage()

    expect(await copy()).toMatchObject({
      status: 'failed',
      detail: `${source.host} does not have layer ${layerDigest.slice(0, 19)}, a foreign layer; --foreign-layers downloads it from ${vendor.host}`,
    })
    expect(vendor.requests).toEqual([])
    expect(mirror.manifests.get('app')?.size).toBe(0)
  })

  it('is downloaded from its vendor with `foreignLayers`', async () => {
    const digest = addImage()
    serve()

    expect(await copy({ foreignLayers: true })).toMatchObject({
      status: 'copied',
      mirrorDigest: digest,
    })
    expect(onMirror()?.equals(layer)).toBe(true)
    expect(vendor.requests.map(({ headers }) => headers.authorization)).toEqual([undefined])
    expect(await copy()).toMatchObject({ status: 'current' })
  })

  it('is downloaded again from where the connection broke', async () => {
    addImage()
    serve()
    let failures = 0
    vendor.fault(() => (failures++ === 0 ? { cutAt: 1_000 } : null))

    expect(await copy({ foreignLayers: true })).toMatchObject({ status: 'copied' })
    expect(vendor.requests.map(({ headers }) => headers.range)).toEqual([
      undefined,
      expect.stringMatching(/^bytes=\d+-4999$/),
    ])
  })

  it.each<[string, readonly unknown[]]>([
    ['no URLs', []],
    ['URLs that are not text', [1, null]],
    ['a file', ['file:///etc/passwd']],
    ['a user', ['https://user:pass@vendor.example/layer']],
    ['an invalid URL', ['http://[']],
  ])('with %s fails with that reason', async (_, urls) => {
    addImage({ urls })

    expect((await copy({ foreignLayers: true })).detail).toContain(
      'a foreign layer; its manifest has no URL for it',
    )
  })

  it('with other bytes is not copied', async () => {
    addImage()
    vendor.blobs.set('windows', new Map([[layerDigest, bytes(5_000, 'other')]]))

    expect(await copy({ foreignLayers: true })).toMatchObject({ status: 'failed' })
    expect(onMirror()).toBeUndefined()
  })

  it('at an internal address is not downloaded', async () => {
    addImage({ urls: ['http://169.254.169.254/latest/meta-data/'] })

    expect((await copy({ foreignLayers: true })).detail).toContain(
      '169.254.169.254 resolves to an internal address',
    )
  })

  it('is missing on a mirror that an earlier version filled, and is copied then', async () => {
    addImage({ hasLayer: true })
    await copy()
    mirror.blobs.get('app')?.delete(layerDigest)

    expect(await copy()).toMatchObject({ status: 'repaired' })
    expect(onMirror()?.equals(layer)).toBe(true)
  })
})

describe('a registry that does not allow the URLs of foreign layers', () => {
  it.each([
    [500, 'UNKNOWN'],
    [400, 'MANIFEST_INVALID'],
  ])('with status %d %s fails the copy at once, with its setting', async (status, code) => {
    addImage({ hasLayer: true })
    const isPut = ({ method, path }: { method: string; path: string }) =>
      method === 'PUT' && path.includes('/manifests/')
    mirror.fault((request) => (isPut(request) ? { status, code } : null))

    const { status: end, outcome, detail } = await copy()

    expect({ end, outcome }).toEqual({ end: 'failed', outcome: 'invalid' })
    expect(detail).toContain(
      `${mirror.host} does not accept the manifest, which has the foreign layer ${layerDigest.slice(0, 19)} with a URL on ${vendor.host}; allow it there with validation.manifests.urls.allow (${status} ${code}`,
    )
    expect(mirror.requests.filter(isPut)).toHaveLength(1)
  })

  it('is asked five times if the status may be temporary', async () => {
    addImage({ hasLayer: true })
    mirror.fault(({ method, path }) =>
      method === 'PUT' && path.includes('/manifests/') ? { status: 503 } : null,
    )

    expect(await copy()).toMatchObject({ status: 'failed', outcome: 'unreachable' })
    expect(mirror.requests.filter(({ path }) => path.endsWith('/manifests/1'))).not.toHaveLength(1)
  })

  it('is asked five times about a manifest without foreign layers', async () => {
    source.addImage('app', '1', { more: { annotations: { a: manifestType } } })
    mirror.fault(({ method, path }) =>
      method === 'PUT' && path.includes('/manifests/') ? { status: 500 } : null,
    )
    await copy()

    expect(mirror.requests.filter(({ method }) => method === 'PUT').length).toBeGreaterThan(4)
  })
})
