import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CopyResult } from '../../src/mirror/copy-result.ts'
import { type DriftOptions, findDrift } from '../../src/mirror/drift.ts'
import { createRegistryStore } from '../../src/registry/images/registry-store.ts'
import type { RegistryClient } from '../../src/registry/registry-client.ts'
import { mirrorPairs, pair, registriesFor } from '../support/mirroring.ts'
import { indexType, manifestType } from '../support/registry.ts'
import { startStore, type Store } from '../support/store-registry.ts'

let source: Store
let mirror: Store
let registries: RegistryClient

beforeEach(async () => {
  source = await startStore()
  mirror = await startStore()
  registries = registriesFor([source.url, mirror.url])
})

afterEach(async () => {
  await registries.close()
  await source.close()
  await mirror.close()
})

/** Adds an image for these architectures of Linux. The seed changes the layers of one of them. */
function addIndex(architectures: readonly string[], seed = ''): string {
  const manifests = architectures.map((architecture) => {
    const layers = [Buffer.from(seed.startsWith(architecture) ? seed : architecture)]
    const digest = source.addImage('app', null, { layers })
    return {
      mediaType: manifestType,
      digest,
      size: 1,
      platform: { os: 'linux', architecture },
    }
  })
  const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }))
  return source.addManifest('app', '1', { mediaType: indexType, body })
}

async function copy(
  options: Parameters<typeof mirrorPairs>[2] = { platforms: ['linux/amd64'] },
  destination = 'app:1',
): Promise<CopyResult> {
  const pairs = [pair(`${source.host}/app:1`, `${mirror.host}/${destination}`)]
  const [result] = await mirrorPairs(registries, pairs, options)
  if (result === undefined) throw new Error('no result')
  return result
}

async function drift(options: Partial<DriftOptions> = {}) {
  const { signal } = new AbortController()
  const [result] = await findDrift(
    createRegistryStore(registries),
    [pair(`${source.host}/app:1`, `${mirror.host}/app:1`)],
    {
      signal,
      jobs: 1,
      platforms: false,
      copiedDigests: () => null,
      ...options,
    },
  )
  if (result === undefined) throw new Error('no result')
  return result
}

describe('a copy with some platforms', () => {
  it('has another digest, and only the blobs of these platforms', async () => {
    const digest = addIndex(['amd64', 'arm64', 's390x'])
    const result = await copy()

    expect(result).toMatchObject({
      status: 'copied',
      sourceDigest: digest,
      platforms: ['linux/amd64'],
      mirrorDigest: mirror.tags.get('app')?.get('1'),
    })
    expect(result.mirrorDigest).not.toBe(digest)
    expect(mirror.blobs.get('app')?.size).toBe(2)
  })

  it('is current in the second run, and repaired if something is missing', async () => {
    addIndex(['amd64', 'arm64'])
    const first = await copy()
    const second = await copy()
    mirror.blobs.get('app')?.clear()

    expect(second).toMatchObject({
      status: 'current',
      mirrorDigest: first.mirrorDigest,
    })
    expect(await copy()).toMatchObject({
      status: 'repaired',
      mirrorDigest: first.mirrorDigest,
    })
  })

  it('is planned with the bytes of these platforms', async () => {
    addIndex(['amd64', 'arm64'])
    const plan = await copy({ platforms: ['linux/amd64'], dryRun: true })

    expect(plan.status).toBe('planned')
    expect(await copy()).toMatchObject({ bytesMoved: plan.bytesMoved })
  })

  it('has the digest of upstream if these are all platforms, or the image is not an index', async () => {
    const all = addIndex(['amd64', 'arm64'])
    const both = await copy({ platforms: ['linux/amd64', 'linux/arm64'] })
    const single = source.addImage('app', '1')

    expect(both).toMatchObject({ status: 'copied', mirrorDigest: all })
    expect(await copy()).toMatchObject({
      status: 'copied',
      mirrorDigest: single,
    })
  })

  it('fails if the image does not have a platform', async () => {
    addIndex(['amd64', 'arm64'])

    expect(await copy({ platforms: ['linux/riscv64'] })).toMatchObject({
      status: 'failed',
      outcome: 'invalid',
      detail: 'the image has no platform linux/riscv64; it has linux/amd64, linux/arm64',
    })
  })

  it('fails if the destination states a digest', async () => {
    const digest = addIndex(['amd64', 'arm64'])

    expect((await copy(undefined, `app@${digest}`)).detail).toContain('give the destination a tag')
  })
})

describe('drift of a mirror with some platforms', () => {
  it('is none while these platforms are the same upstream', async () => {
    addIndex(['amd64', 'arm64'])
    await copy()
    const before = await drift()
    addIndex(['amd64', 'arm64'], 'arm64 changed')

    expect(before).toMatchObject({
      state: 'same',
      detail: 'the mirror has only linux/amd64',
    })
    expect(await drift()).toMatchObject({ state: 'same' })
  })

  it('is that upstream moved when one of these platforms changed', async () => {
    addIndex(['amd64', 'arm64'])
    await copy()
    addIndex(['amd64', 'arm64'], 'amd64 changed')

    expect(await drift()).toMatchObject({ state: 'upstream-moved' })
  })

  it('is that upstream moved for an older copy of all platforms', async () => {
    addIndex(['amd64'])
    await copy({})
    addIndex(['amd64', 'arm64'])

    expect(await drift()).toMatchObject({ state: 'upstream-moved' })
  })

  it('is a broken mirror if a deep check finds a gap', async () => {
    addIndex(['amd64', 'arm64'])
    await copy()
    mirror.blobs.get('app')?.clear()

    expect(await drift({ deep: true })).toMatchObject({ state: 'broken' })
  })
})
