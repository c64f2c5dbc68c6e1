import { describe, expect, it } from 'vitest'
import { createSubIndex, selectedPlatforms } from '../../src/mirror/sub-index.ts'
import { digestOf, indexType, manifestType } from '../support/registry.ts'

const digest = (name: string) => digestOf(name)

function entry(name: string, platform: Readonly<Record<string, string>>, more: object = {}) {
  return {
    mediaType: manifestType,
    digest: digest(name),
    size: 1,
    platform,
    ...more,
  }
}

const attestationOf = (name: string) =>
  entry(
    `attestation of ${name}`,
    { os: 'unknown', architecture: 'unknown' },
    {
      annotations: {
        'vnd.docker.reference.type': 'attestation-manifest',
        'vnd.docker.reference.digest': digest(name),
      },
    },
  )

const entries = [
  entry('amd64', { os: 'linux', architecture: 'amd64' }),
  entry('v7', { os: 'linux', architecture: 'arm', variant: 'v7' }),
  entry('v8', { os: 'linux', architecture: 'arm64', variant: 'v8' }),
  entry('win', {
    os: 'windows',
    architecture: 'amd64',
    'os.version': '10.0.1',
  }),
  attestationOf('amd64'),
  attestationOf('v8'),
]

function manifestOf(document: object) {
  const bytes = Buffer.from(JSON.stringify(document))
  return { digest: digestOf(bytes), mediaType: indexType, bytes }
}

const document = {
  schemaVersion: 2,
  mediaType: indexType,
  annotations: { a: 'b' },
}
const index = manifestOf({ ...document, manifests: entries })

function listedDigests({ bytes }: { readonly bytes: Buffer }): readonly string[] {
  const { manifests } = JSON.parse(bytes.toString()) as { manifests: { digest: string }[] }
  return manifests.map((each) => each.digest)
}

/** Returns the names of the entries that are left. */
function selected(platforms: readonly string[]): readonly string[] {
  const names = ['amd64', 'v7', 'v8', 'win', 'attestation of amd64', 'attestation of v8']
  const subIndex = createSubIndex(index, platforms)
  if (subIndex === null) return names
  return listedDigests(subIndex).map((each) => names.find((name) => digest(name) === each) ?? each)
}

describe('createSubIndex', () => {
  it.each([
    [['linux/amd64'], ['amd64', 'attestation of amd64']],
    [['linux/arm64'], ['v8', 'attestation of v8']],
    [['linux/arm64/v8'], ['v8', 'attestation of v8']],
    [['linux/arm'], ['v7']],
    [
      ['windows/amd64', 'linux/amd64'],
      ['amd64', 'win', 'attestation of amd64'],
    ],
  ])('selects %j', (platforms, names) => {
    expect(selected(platforms)).toEqual(names)
  })

  it('keeps the rest of the index, and always gives the same digest', () => {
    const subIndex = createSubIndex(index, ['linux/arm'])

    expect(JSON.parse(String(subIndex?.bytes))).toEqual({
      ...document,
      manifests: [entries[1]],
      annotations: { a: 'b', 'dev.berth.platforms': 'linux/arm' },
    })
    expect(subIndex?.digest).toBe(digestOf(subIndex?.bytes ?? ''))
    expect(createSubIndex(index, ['linux/arm'])?.digest).toBe(subIndex?.digest)
  })

  it('is null if all platforms are selected, and for an image without an index', () => {
    const all = ['linux/amd64', 'linux/arm', 'linux/arm64', 'windows/amd64']

    expect(createSubIndex(index, all)).toBeNull()
    expect(createSubIndex(manifestOf({ schemaVersion: 2, layers: [] }), ['linux/amd64'])).toBeNull()
  })

  it.each([['linux/s390x'], ['linux/arm64/v7'], ['linux/am'], ['unknown/unknown']])(
    'fails for %s, which the image does not have',
    (platform) => {
      expect(() => createSubIndex(index, ['linux/amd64', platform])).toThrow(
        `the image has no platform ${platform}; it has linux/amd64, linux/arm/v7, linux/arm64/v8, windows/amd64`,
      )
    },
  )

  it('ignores entries that are not objects', () => {
    const broken = manifestOf({
      ...document,
      manifests: [null, 1, 'x', entries[0]],
    })

    expect(listedDigests(createSubIndex(broken, ['linux/amd64']) ?? index)).toEqual([
      digest('amd64'),
    ])
  })
})

describe('selectedPlatforms', () => {
  const mirror = createSubIndex(index, ['linux/arm64', 'linux/amd64'])

  it('returns the platforms of an index that was made from the index of upstream', () => {
    expect(selectedPlatforms(index, mirror)).toEqual(['linux/amd64', 'linux/arm64'])
  })

  it.each([
    [
      'upstream changed one of them',
      [{ ...entries[0], digest: digest('new') }, ...entries.slice(1)],
    ],
    ['upstream removed one of them', entries.slice(1)],
    ['upstream removed its attestation', entries.slice(0, -1)],
  ])('is null if %s', (_, manifests) => {
    expect(selectedPlatforms(manifestOf({ ...document, manifests }), mirror)).toBeNull()
  })

  it('is null for an index that Berth did not make', () => {
    const older = manifestOf({ ...document, manifests: entries.slice(0, 1) })

    expect(selectedPlatforms(index, older)).toBeNull()
    expect(selectedPlatforms(index, null)).toBeNull()
    expect(selectedPlatforms(null, mirror)).toBeNull()
  })
})
