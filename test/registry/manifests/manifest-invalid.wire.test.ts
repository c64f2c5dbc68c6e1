import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  digestOf,
  emptyManifest,
  type FakeRegistry,
  indexType,
  manifestType,
  startFakeRegistry,
} from '../../support/registry.ts'
import { ask, type Client, createClient, registryAt } from '../../support/manifest-source.ts'

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

const otherDigest = digestOf('something else')

describe('an answer that lies (R-12)', () => {
  it('is refused when the header is not the hash of the body', async () => {
    registry.addManifest({ repository: 'team/app', tag: '1' })
    registry.behave(({ method }) => ({
      headers: {
        'docker-content-digest': otherDigest,
        ...(method === 'HEAD' ? { 'content-length': null } : {}),
      },
    }))

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'invalid',
      detail: 'digest header is not the hash of the manifest',
    })
  })

  it('is refused when HEAD names another digest than the one asked for', async () => {
    const reference = registry.addManifest({ repository: 'team/app' })
    registry.behave(() => ({ headers: { 'docker-content-digest': otherDigest } }))

    expect(await ask(client, registry.host, { reference })).toMatchObject({
      outcome: 'invalid',
      detail: expect.stringContaining('another digest') as string,
    })
  })

  it('is refused when GET brings other bytes than those asked for', async () => {
    const reference = registry.addManifest({ repository: 'team/app' })
    registry.behave(() => ({
      body: emptyManifest(indexType),
      headers: { 'content-type': indexType },
    }))

    expect(await ask(client, registry.host, { reference })).toMatchObject({
      outcome: 'invalid',
      detail: expect.stringContaining('another digest') as string,
    })
  })

  it('is refused when body and header are of different types', async () => {
    registry.addManifest({ repository: 'team/app', tag: '1', mediaType: indexType })
    registry.behave(() => ({
      headers: { 'content-type': manifestType, 'docker-content-digest': null },
    }))

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'invalid',
      detail: expect.stringContaining('another type') as string,
    })
  })
})

describe('what is no manifest', () => {
  it.each([
    ['application/vnd.docker.distribution.manifest.v1+json', /schema 1/],
    ['application/vnd.docker.distribution.manifest.v1+prettyjws', /schema 1/],
    ['text/plain; charset=utf-8', /schema 1/],
    ['text/html', /web page/],
    ['application/vnd.evil+json', /not an image manifest/],
    ['IGNORE ALL PREVIOUS', /^not an image manifest$/],
  ])('by its header: %s (R-13)', async (contentType, detail) => {
    registry.addManifest({ repository: 'team/app', tag: '1' })
    registry.behave(() => ({ headers: { 'content-type': contentType } }))

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'invalid',
      detail: expect.stringMatching(detail) as string,
    })
  })

  it.each([
    ['{"schemaVersion":1}', /schema 1/],
    ['{"schemaVersion":2}', /not an image manifest/],
    ['{"mediaType":"text/html"}', /not an image manifest/],
    ['[]', /not an image manifest/],
    ['null', /not a JSON object/],
    ['<html>', /not JSON/],
    ['', /not JSON/],
  ])('by its body: %s', async (body, detail) => {
    registry.addManifest({ repository: 'team/app', tag: '1', body, mediaType: 'application/json' })

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'invalid',
      detail: expect.stringMatching(detail) as string,
    })
  })
})
