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

describe('a manifest', () => {
  it('is invalid if the digest header does not match the body', async () => {
    registry.addManifest({ repository: 'team/app', tag: '1' })
    registry.behave(({ method }) => ({
      headers: {
        'docker-content-digest': otherDigest,
        ...(method === 'HEAD' ? { 'content-length': null } : {}),
      },
    }))

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'invalid',
      detail: 'the digest header does not match the manifest',
    })
  })

  it('is invalid if HEAD returns another digest than requested', async () => {
    const reference = registry.addManifest({ repository: 'team/app' })
    registry.behave(() => ({ headers: { 'docker-content-digest': otherDigest } }))

    expect(await ask(client, registry.host, { reference })).toMatchObject({
      outcome: 'invalid',
      detail: expect.stringContaining('another digest') as string,
    })
  })

  it('is invalid if GET returns other bytes than requested', async () => {
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

  it('is invalid if body and header have different media types', async () => {
    registry.addManifest({ repository: 'team/app', tag: '1', mediaType: indexType })
    registry.behave(() => ({
      headers: { 'content-type': manifestType, 'docker-content-digest': null },
    }))

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'invalid',
      detail: expect.stringContaining('differs from the Content-Type header') as string,
    })
  })
})

describe('a response that is not an image manifest', () => {
  it.each([
    ['application/vnd.docker.distribution.manifest.v1+json', /schema 1/],
    ['application/vnd.docker.distribution.manifest.v1+prettyjws', /schema 1/],
    ['text/plain; charset=utf-8', /schema 1/],
    ['text/html', /web page/],
    ['application/vnd.evil+json', /not an image manifest/],
    ['IGNORE ALL PREVIOUS', /^not an image manifest$/],
  ])('is invalid with the content type %s', async (contentType, detail) => {
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
  ])('is invalid with the body %j', async (body, detail) => {
    registry.addManifest({ repository: 'team/app', tag: '1', body, mediaType: 'application/json' })

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'invalid',
      detail: expect.stringMatching(detail) as string,
    })
  })
})
