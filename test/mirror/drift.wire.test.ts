import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type DriftResult,
  driftExitCode,
  type DriftOptions,
  findDrift,
} from '../../src/mirror/drift.ts'
import { createRegistryStore } from '../../src/registry/images/registry-store.ts'
import type { RegistryClient } from '../../src/registry/registry-client.ts'
import { pair, registriesFor } from '../support/mirroring.ts'
import { indexType, manifestType } from '../support/registry.ts'
import { bytes, startStore, type Store } from '../support/store-registry.ts'

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

async function drift(options: Partial<DriftOptions> = {}): Promise<DriftResult> {
  const [result] = await findDrift(
    createRegistryStore(registries),
    [pair(`${source.host}/app:1`, `${mirror.host}/app:1`)],
    {
      signal: new AbortController().signal,
      jobs: 4,
      platforms: false,
      copiedDigests: () => null,
      ...options,
    },
  )
  if (result === undefined) throw new Error('no result')
  return result
}

const content = (seed: string) => ({ layers: [bytes(100, seed)] })

function addIndex(to: Store, platforms: Readonly<Record<string, string>>): string {
  const manifests = Object.entries(platforms).map(([name, digest]) => {
    const [os, architecture] = name.split('/')
    return { mediaType: manifestType, digest, size: 1, platform: { os, architecture } }
  })
  const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }))
  return to.addManifest('app', '1', { mediaType: indexType, body })
}

describe('findDrift', () => {
  it('returns same for equal digests, with one HEAD to each side', async () => {
    source.addImage('app', '1')
    mirror.addImage('app', '1')

    expect(await drift()).toMatchObject({ state: 'same' })
    expect([...source.log(), ...mirror.log()]).toEqual([
      'HEAD /v2/app/manifests/1',
      'HEAD /v2/app/manifests/1',
    ])
  })

  it('asks a pull-through cache for the tag if it does not know the digest yet', async () => {
    const digest = source.addImage('app', '1')
    mirror.addImage('app', '1')
    const isAskedByTag = () => mirror.log().includes('HEAD /v2/app/manifests/1')
    mirror.fault(({ path }) =>
      path.endsWith(digest) && !isAskedByTag() ? { status: 404, code: 'MANIFEST_UNKNOWN' } : null,
    )
    const images = pair(`${source.host}/app:1@${digest}`, `${mirror.host}/app:1@${digest}`)
    const options = { signal: new AbortController().signal, jobs: 1, platforms: false }
    const [result] = await findDrift(createRegistryStore(registries), [images], {
      ...options,
      copiedDigests: () => null,
    })

    expect(result).toMatchObject({ state: 'same', mirrorDigest: digest })
    expect(mirror.log()).toEqual([
      'HEAD /v2/app/manifests/sha256:…',
      'GET /v2/app/manifests/sha256:…',
      'HEAD /v2/app/manifests/1',
    ])
  })

  it('returns upstream-moved for different digests', async () => {
    source.addImage('app', '1', content('new'))
    mirror.addImage('app', '1', content('old'))

    expect(await drift()).toMatchObject({ state: 'upstream-moved' })
  })

  it('returns mirror-missing if the mirror does not have the image', async () => {
    source.addImage('app', '1')

    expect(await drift()).toMatchObject({ state: 'mirror-missing' })
  })

  it('returns upstream-missing if upstream does not have the image', async () => {
    mirror.addImage('app', '1')

    expect(await drift()).toMatchObject({ state: 'upstream-missing' })
  })

  it('returns mirror-ahead for a digest that neither the audit log nor upstream has', async () => {
    const digest = source.addImage('app', '1', content('upstream'))
    mirror.addImage('app', '1', content('other'))

    expect(await drift({ copiedDigests: () => new Set([digest]) })).toMatchObject({
      state: 'mirror-ahead',
    })
  })

  it('returns upstream-moved if upstream still has the digest of the mirror, even if the audit log does not', async () => {
    source.addImage('app', null, content('old'))
    source.addImage('app', '1', content('new'))
    mirror.addImage('app', '1', content('old'))
    // addImage writes the tag into the image, so the digests would differ without this copy.
    const old = [...(mirror.manifests.get('app')?.keys() ?? [])][0] ?? ''
    source.addManifest(
      'app',
      null,
      mirror.manifests.get('app')?.get(old) ?? { body: Buffer.alloc(0), mediaType: '' },
    )

    expect(await drift({ copiedDigests: () => new Set() })).toMatchObject({
      state: 'upstream-moved',
    })
  })

  it('returns platform-subset if the mirror has one platform of the index', async () => {
    const amd = source.addImage('app', null, content('amd'))
    const arm = source.addImage('app', null, content('arm'))
    addIndex(source, { 'linux/amd64': amd, 'linux/arm64': arm })
    const manifest = source.manifests.get('app')?.get(amd)
    if (manifest === undefined) throw new Error('no manifest')
    mirror.addManifest('app', '1', manifest)

    expect(await drift()).toMatchObject({ state: 'platform-subset' })
  })

  it('compares each platform if requested', async () => {
    const amd = source.addImage('app', null, content('amd'))
    const arm = source.addImage('app', null, content('arm'))
    const riscv = source.addImage('app', null, content('riscv'))
    addIndex(source, { 'linux/amd64': amd, 'linux/arm64': arm })
    addIndex(mirror, { 'linux/amd64': amd, 'linux/arm64': riscv, 'linux/riscv64': riscv })

    expect((await drift({ platforms: true })).platforms).toEqual([
      { platform: 'linux/amd64', state: 'same' },
      { platform: 'linux/arm64', state: 'moved' },
      { platform: 'linux/riscv64', state: 'removed' },
    ])
  })

  it.each([
    ['source', () => source],
    ['mirror', () => mirror],
  ])('returns unreachable if the %s fails', async (side, which) => {
    source.addImage('app', '1')
    mirror.addImage('app', '1')
    which().fault(() => ({ status: 503 }))

    const result = await drift()

    expect(result).toMatchObject({ state: 'unreachable' })
    expect(result.detail).toMatch(new RegExp(`^${side}: `))
  })
})

describe('driftExitCode', () => {
  it('is 1 for drift, else 3 if an image could not be checked, else 0', () => {
    const of = (...states: DriftResult['state'][]) =>
      driftExitCode(states.map((state) => ({ state }) as DriftResult))

    expect([
      of('same'),
      of('same', 'unreachable'),
      of('unreachable', 'mirror-missing'),
      of(),
    ]).toEqual([0, 3, 1, 0])
  })
})
