import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CopyResult } from '../../src/mirror/copy-result.ts'
import { type DriftOptions, findDrift, isBehind } from '../../src/mirror/drift.ts'
import { createRegistryStore } from '../../src/registry/images/registry-store.ts'
import type { RegistryClient } from '../../src/registry/registry-client.ts'
import { mirrorPairs, pair, registriesFor } from '../support/mirroring.ts'
import { indexType, manifestType } from '../support/registry.ts'
import { startStore, type Store, type StoreOptions } from '../support/store-registry.ts'

let source: Store
let mirror: Store
let registries: RegistryClient

async function start(options: StoreOptions = {}) {
  source = await startStore()
  mirror = await startStore(options)
  registries = registriesFor([source.url, mirror.url])
}

beforeEach(() => start())

afterEach(async () => {
  await registries.close()
  await source.close()
  await mirror.close()
})

interface Entry {
  readonly digest: string
  readonly platform: string
  readonly isAttestation?: boolean
}

function addIndex(store: Store, entries: readonly Entry[]): string {
  const manifests = entries.map(({ digest, platform, isAttestation }) => {
    const [os, architecture] = platform.split('/')
    const annotations = { 'vnd.docker.reference.type': 'attestation-manifest' }
    return {
      mediaType: manifestType,
      digest,
      size: 1,
      platform: { os, architecture },
      ...(isAttestation === true ? { annotations } : {}),
    }
  })
  const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }))
  return store.addManifest('app', '1', { mediaType: indexType, body })
}

/** Adds an image for two platforms and an attestation. Returns the digests. */
function addImage() {
  const [amd64, arm64, attestation] = ['amd64', 'arm64', 'attestation'].map((layer) =>
    source.addImage('app', null, { layers: [Buffer.from(layer)] }),
  ) as [string, string, string]
  const index = addIndex(source, [
    { digest: amd64, platform: 'linux/amd64' },
    { digest: arm64, platform: 'linux/arm64' },
    { digest: attestation, platform: 'unknown/unknown', isAttestation: true },
  ])
  return { amd64, arm64, attestation, index }
}

const pairs = () => [pair(`${source.host}/app:1`, `${mirror.host}/app:1`)]

async function copy(options: Parameters<typeof mirrorPairs>[2] = {}): Promise<CopyResult> {
  const [result] = await mirrorPairs(registries, pairs(), options)
  if (result === undefined) throw new Error('no result')
  return result
}

async function drift(options: Partial<DriftOptions> = {}) {
  const { signal } = new AbortController()
  const given = { signal, jobs: 1, platforms: false, copiedDigests: () => null, ...options }
  const [result] = await findDrift(createRegistryStore(registries), pairs(), given)
  if (result === undefined) throw new Error('no result')
  return result
}

function short(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12)
}

describe('an index whose manifest was deleted', () => {
  it('is not copied, and the message names the platform', async () => {
    const { arm64 } = addImage()
    source.manifests.get('app')?.delete(arm64)

    const result = await copy({ allowMissingAttestations: true })

    expect(result).toMatchObject({
      status: 'failed',
      detail: `the index in app lists linux/arm64 (${short(arm64)}) that ${source.host} does not have`,
    })
    expect(result.tags).toBeUndefined()
    expect(mirror.manifests.get('app')?.size).toBe(0)
  })

  it('is not copied if that is an attestation, and the message names the option', async () => {
    const { attestation } = addImage()
    source.manifests.get('app')?.delete(attestation)

    expect((await copy()).detail).toBe(
      `the index in app lists an attestation (${short(attestation)}) that ${source.host} does not have; --allow-missing-attestations copies the image without it`,
    )
  })

  it('is not copied if that is in an index inside it', async () => {
    const { arm64, index } = addImage()
    source.manifests.get('app')?.delete(arm64)
    const manifests = [{ mediaType: indexType, digest: index, size: 1 }]
    const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }))
    source.addManifest('app', '1', { mediaType: indexType, body })

    expect((await copy()).detail).toContain(`lists linux/arm64 (${short(arm64)})`)
  })
})

describe('an index without its attestation, if that is allowed', () => {
  const options = { allowMissingAttestations: true }

  it('is copied with the same digest, and the second run finds it complete', async () => {
    await start({ sparseIndexes: true })
    const { attestation, index } = addImage()
    source.manifests.get('app')?.delete(attestation)
    const missingAttestations = [attestation]

    expect(await copy(options)).toMatchObject({
      status: 'copied',
      mirrorDigest: index,
      platforms: ['linux/amd64', 'linux/arm64'],
      missingAttestations,
    })
    expect(await copy(options)).toMatchObject({ status: 'current', missingAttestations })
  })

  it('fails with the reason if the mirror accepts only complete indexes', async () => {
    const { attestation } = addImage()
    source.manifests.get('app')?.delete(attestation)

    expect((await copy(options)).detail).toContain(
      `${mirror.host} does not accept an index without its attestations (400 MANIFEST_BLOB_UNKNOWN`,
    )
  })

  it('is copied with the attestation if it exists', async () => {
    const { attestation } = addImage()

    expect(await copy(options)).toMatchObject({ status: 'copied', missingAttestations: [] })
    expect(mirror.manifests.get('app')?.has(attestation)).toBe(true)
  })
})

describe('a mirror that lost something below an equal digest', () => {
  const losses: [string, (image: ReturnType<typeof addImage>) => void, RegExp][] = [
    [
      'a platform',
      ({ arm64 }) => mirror.manifests.get('app')?.delete(arm64),
      /^the index in app lists linux\/arm64 \(sha256:\w{12}\) that .* does not have$/,
    ],
    [
      'an attestation',
      ({ attestation }) => mirror.manifests.get('app')?.delete(attestation),
      /lists an attestation/,
    ],
    [
      'a blob',
      () => mirror.blobs.get('app')?.delete([...(mirror.blobs.get('app')?.keys() ?? [])][0] ?? ''),
      /^127\.0\.0\.1:\d+ lacks blob sha256:\w{12}$/,
    ],
    ['all blobs', () => mirror.blobs.get('app')?.clear(), /lacks blob sha256:\w{12} and 3 more$/],
  ]

  it.each(losses)(
    'such as %s is broken with `deep`, and the same without',
    async (_, lose, detail) => {
      const image = addImage()
      await copy()
      lose(image)
      const deep = await drift({ deep: true })

      expect(await drift()).toMatchObject({ state: 'same', detail: null })
      expect(deep).toMatchObject({
        state: 'broken',
        detail: expect.stringMatching(detail) as string,
      })
      expect(isBehind(deep)).toBe(true)
      expect(await copy()).toMatchObject({ status: 'repaired' })
      expect(await drift({ deep: true })).toMatchObject({ state: 'same' })
    },
  )

  it('is the same if only attestations are missing and that is allowed', async () => {
    const { attestation } = addImage()
    await copy()
    mirror.manifests.get('app')?.delete(attestation)

    expect(await drift({ deep: true, allowMissingAttestations: true })).toMatchObject({
      state: 'same',
    })
  })

  it('could not be checked if it does not tell', async () => {
    addImage()
    await copy()
    mirror.fault(({ path }) => (path.includes('/blobs/') ? { status: 403 } : null))

    expect(await drift({ deep: true })).toMatchObject({ state: 'unreachable', outcome: 'denied' })
  })
})
