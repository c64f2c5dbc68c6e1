import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  digestOf,
  type FakeRegistry,
  indexType,
  startFakeRegistry,
} from '../../support/registry.ts'
import { type Client, createClient, registryAt } from '../../support/manifest-source.ts'
import type { Behaviour } from '../../support/registry-behaviour.ts'

let registry: FakeRegistry
let client: Client

beforeEach(async () => {
  registry = await startFakeRegistry()
  client = createClient([registryAt(registry.url)])
})

afterEach(async () => {
  await client.close()
  await registry.close()
})

const repository = 'team/app'
const child = digestOf('a manifest')
const platform = (os: string, architecture: string, variant?: string) => ({
  digest: child,
  size: 1,
  platform: { os, architecture, variant },
})

function addIndex(manifests: unknown): string {
  const body = JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests })
  return registry.addManifest({ repository, mediaType: indexType, body })
}

/** Adds an image with this config, and returns its digest. The registry answers requests for the config as given. */
function addImage(config: string, behaviour: Behaviour = {}): string {
  const digest = digestOf(config)
  registry.behave(({ path }) =>
    path.includes('/blobs/') ? { status: 200, body: config, ...behaviour } : null,
  )
  return registry.addManifest({
    repository,
    body: JSON.stringify({ schemaVersion: 2, config: { digest, size: config.length }, layers: [] }),
  })
}

function read(digest: string) {
  const query = { host: registry.host, repository, reference: digest, namespace: 'x' }
  return client.readPlatforms(query, AbortSignal.timeout(5_000))
}

it('reads the platforms of an index, without its attestations, with one request', async () => {
  const digest = addIndex([
    platform('linux', 'amd64'),
    platform('linux', 'arm', 'v7'),
    platform('unknown', 'unknown'),
  ])

  expect(await read(digest)).toEqual({
    ok: true,
    entries: [
      { platform: 'linux/amd64', digest: child },
      { platform: 'linux/arm/v7', digest: child },
    ],
  })
  expect(registry.requests.map(({ method }) => method)).toEqual(['GET'])
})

it('reads the platform of a single image from its config', async () => {
  const digest = addImage(JSON.stringify({ os: 'linux', architecture: 'arm64', variant: 'v8' }))

  expect(await read(digest)).toEqual({
    ok: true,
    entries: [{ platform: 'linux/arm64/v8', digest: null }],
  })
})

it.each([
  ['the config does not exist', { status: 404 }],
  ['the config has other content', { body: '{"os":"linux","architecture":"amd64"}' }],
  ['the config has no end', { endless: true }],
  ['the registry fails', { status: 503 }],
] as const)('does not know the platform if %s', async (_, behaviour) => {
  const digest = addImage(JSON.stringify({ os: 'linux', architecture: 'arm64' }), behaviour)

  expect(await read(digest)).toMatchObject({ ok: false })
})

it.each([
  ['is not JSON', 'x'],
  ['names no platform', '{}'],
  ['is of an artifact', '{"os":1,"architecture":{}}'],
])('does not know the platform if the config %s', async (_, config) => {
  expect(await read(addImage(config))).toMatchObject({ ok: false })
})

it.each([
  ['a manifest without a platform', [{ digest: child, size: 1 }]],
  ['a manifest without a digest', [{ platform: { os: 'linux', architecture: 'amd64' } }]],
  [
    'more manifests than images have',
    Array.from({ length: 1_001 }, () => platform('linux', 'arm')),
  ],
])('does not know the platforms of an index with %s', async (_, manifests) => {
  expect(await read(addIndex(manifests))).toMatchObject({ ok: false })
})

it('does not know the platforms of an image on another registry, or that does not exist', async () => {
  const query = { host: 'other.example', repository, reference: child, namespace: 'x' }

  expect(await client.readPlatforms(query, AbortSignal.timeout(5_000))).toMatchObject({ ok: false })
  expect(await read(child)).toMatchObject({ ok: false })
})
