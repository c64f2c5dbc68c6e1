import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type DriftResult,
  driftExitCode,
  type DriftOptions,
  findDrift,
} from '../../src/mirror/drift.ts'
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
  const [found] = await findDrift(
    registries,
    [pair(`${source.host}/app:1`, `${mirror.host}/app:1`)],
    {
      signal: new AbortController().signal,
      jobs: 4,
      platforms: false,
      seen: () => null,
      ...options,
    },
  )
  if (found === undefined) throw new Error('nothing was compared')
  return found
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

describe('drift (R-43)', () => {
  it('is none where both serve one digest, which takes a HEAD each', async () => {
    source.addImage('app', '1')
    mirror.addImage('app', '1')

    expect(await drift()).toMatchObject({ state: 'same' })
    expect([...source.log(), ...mirror.log()]).toEqual([
      'HEAD /v2/app/manifests/1',
      'HEAD /v2/app/manifests/1',
    ])
  })

  it('upstream-moved', async () => {
    source.addImage('app', '1', content('new'))
    mirror.addImage('app', '1', content('old'))

    expect(await drift()).toMatchObject({ state: 'upstream-moved' })
  })

  it('mirror-missing', async () => {
    source.addImage('app', '1')

    expect(await drift()).toMatchObject({ state: 'mirror-missing' })
  })

  it('upstream-missing', async () => {
    mirror.addImage('app', '1')

    expect(await drift()).toMatchObject({ state: 'upstream-missing' })
  })

  it('mirror-ahead: what the log of copies and upstream both do not know', async () => {
    const digest = source.addImage('app', '1', content('upstream'))
    mirror.addImage('app', '1', content('somebody'))

    expect(await drift({ seen: () => new Set([digest]) })).toMatchObject({ state: 'mirror-ahead' })
  })

  it('is upstream-moved where upstream still has what the mirror holds, whatever the log says', async () => {
    source.addImage('app', null, content('old'))
    source.addImage('app', '1', content('new'))
    mirror.addImage('app', '1', content('old'))
    // The image's config names the repository and the tag; both have to be the same for the digests to be.
    const old = [...(mirror.manifests.get('app')?.keys() ?? [])][0] ?? ''
    source.addManifest(
      'app',
      null,
      mirror.manifests.get('app')?.get(old) ?? { body: Buffer.alloc(0), mediaType: '' },
    )

    expect(await drift({ seen: () => new Set() })).toMatchObject({ state: 'upstream-moved' })
  })

  it('platform-subset, and what each platform is', async () => {
    const amd = source.addImage('app', null, content('amd'))
    const arm = source.addImage('app', null, content('arm'))
    addIndex(source, { 'linux/amd64': amd, 'linux/arm64': arm })
    const manifest = source.manifests.get('app')?.get(amd)
    if (manifest === undefined) throw new Error('no manifest')
    mirror.addManifest('app', '1', manifest)

    expect(await drift()).toMatchObject({ state: 'platform-subset' })
  })

  it('tells platforms apart when asked', async () => {
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
  ])('unreachable %s is neither the same nor missing', async (side, which) => {
    source.addImage('app', '1')
    mirror.addImage('app', '1')
    which().fault(() => ({ status: 503 }))

    const found = await drift()

    expect(found).toMatchObject({ state: 'unreachable' })
    expect(found.detail).toMatch(new RegExp(`^${side}: `))
  })

  it('has an exit code for each: 1 for drift, 3 where nothing could be told', () => {
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
