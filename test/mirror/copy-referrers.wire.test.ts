import { afterEach, describe, expect, it } from 'vitest'
import type { RegistryClient } from '../../src/registry/registry-client.ts'
import {
  addToReferrersTag,
  referrersTag,
  listReferrers,
} from '../../src/registry/manifests/referrers.ts'
import { mirrorPairs, pair, registriesFor } from '../support/mirroring.ts'
import { indexType, manifestType } from '../support/registry.ts'
import { startStore, type Store, type StoreOptions } from '../support/store-registry.ts'

let source: Store
let mirror: Store
let registries: RegistryClient

async function start(of: StoreOptions, to: StoreOptions) {
  source = await startStore(of)
  mirror = await startStore(to)
  registries = registriesFor([source.url, mirror.url])
}

afterEach(async () => {
  await registries.close()
  await source.close()
  await mirror.close()
})

async function copy() {
  const [result] = await mirrorPairs(
    registries,
    [pair(`${source.host}/app:1`, `${mirror.host}/app:1`)],
    { referrers: true },
  )
  return result
}

const signal = new AbortController().signal
const artifactType = 'application/vnd.example.sbom'

function index(entries: readonly string[]) {
  const manifests = entries.map((digest) => ({ mediaType: manifestType, digest, size: 100 }))
  return {
    mediaType: indexType,
    body: Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests })),
  }
}

async function referrersOnMirror(digest: string): Promise<string[]> {
  const repository = await registries.open(mirror.host, 'app', 'pull')
  return (await listReferrers(repository, digest, signal)).map((each) => each.digest).sort()
}

describe('referrers', () => {
  it.each([
    ['from API to API', true, true],
    ['from API to tag', true, false],
    ['from tag to API', false, true],
    ['from tag to tag', false, false],
  ])('are copied %s, including those of platforms and of other referrers', async (_, from, to) => {
    await start({ referrers: from }, { referrers: to })
    const child = source.addImage('app', null)
    const { mediaType, body } = index([child])
    const top = source.addManifest('app', '1', { mediaType, body })
    const sbom = source.addImage('app', null, { subject: child, artifactType })
    const signature = source.addImage('app', null, {
      subject: top,
      artifactType,
      more: { annotations: { a: '1' } },
    })
    const ofSbom = source.addImage('app', null, { subject: sbom, artifactType })
    if (!from) {
      source.addManifest('app', referrersTag(child), index([sbom]))
      source.addManifest('app', referrersTag(top), index([signature]))
      source.addManifest('app', referrersTag(sbom), index([ofSbom]))
    }

    expect(await copy()).toMatchObject({ status: 'copied', mirrorDigest: top })
    expect(await referrersOnMirror(child)).toEqual([sbom])
    expect(await referrersOnMirror(top)).toEqual([signature])
    expect(await referrersOnMirror(sbom)).toEqual([ofSbom])
  })

  it('are not read from a referrers tag that names the image itself, as on GitLab', async () => {
    await start({ referrers: false }, { referrers: true })
    const child = source.addImage('app', null)
    const { mediaType, body } = index([child])
    const top = source.addManifest('app', '1', { mediaType, body })
    source.tags.get('app')?.set(referrersTag(top), top)
    source.tags.get('app')?.set(referrersTag(child), top)
    source.tags.get('app')?.set(`${referrersTag(top)}.sig`, top)

    expect(await copy()).toMatchObject({ status: 'copied' })
    expect(await referrersOnMirror(top)).toEqual([])
  })

  it('include the tags that cosign writes', async () => {
    await start({}, {})
    const image = source.addImage('app', '1')
    const tag = `${referrersTag(image)}.sig`
    const signature = source.addImage('app', tag)

    await copy()

    expect(mirror.tags.get('app')?.get(tag)).toBe(signature)
  })

  it('are all kept if several clients write the referrers tag at once', async () => {
    await start({}, { referrers: false })
    const image = mirror.addImage('app', '1')
    const entries = ['a', 'b'].map((each) =>
      mirror.addImage('app', null, { subject: image, artifactType: each }),
    )
    const repository = await registries.open(mirror.host, 'app', 'pull,push')

    await Promise.all(
      entries.map((digest) =>
        addToReferrersTag(repository, image, {
          entry: { digest, mediaType: manifestType, size: 1 },
          signal,
        }),
      ),
    )

    expect(await referrersOnMirror(image)).toEqual([...entries].sort())
  })
})
