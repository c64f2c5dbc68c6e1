import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  digestOf,
  dockerListType,
  dockerManifestType,
  emptyManifest,
  type FakeRegistry,
  indexType,
  manifestType,
  startFakeRegistry,
} from '../../support/registry.ts'
import type { Behaviour } from '../../support/registry-behaviour.ts'
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

function methods(): string[] {
  return registry.requests.map(({ method }) => method)
}

/** Changes how the registry responds to one method. */
function respondTo(changed: string, behaviour: Behaviour) {
  registry.behave(({ method }) => (method === changed ? behaviour : null))
}

const otherDigest = digestOf('something else')

describe('one HEAD', () => {
  it.each([indexType, dockerListType, manifestType, dockerManifestType])(
    'is enough for %s',
    async (mediaType) => {
      const digest = registry.addManifest({ repository: 'team/app', tag: '1', mediaType })

      expect(await ask(client, registry.host)).toEqual({ outcome: 'found', digest, mediaType })
      expect(methods()).toEqual(['HEAD'])
    },
  )

  it('sends one Accept header with four types, without schema 1', async () => {
    await ask(client, registry.host)

    const [request] = registry.requests
    expect(request?.path).toBe('/v2/team/app/manifests/1')
    expect(request?.headers.accept?.split(', ')).toEqual([
      indexType,
      dockerListType,
      manifestType,
      dockerManifestType,
    ])
    expect(request?.headers['accept-encoding']).toBe('identity')
    expect(request?.headers.authorization).toBeUndefined()
  })

  it('resolves a digest', async () => {
    const digest = registry.addManifest({ repository: 'team/app' })

    expect(await ask(client, registry.host, { reference: digest })).toMatchObject({
      outcome: 'found',
      digest,
    })
  })

  it.each([
    ['charset', `${indexType}; charset=utf-8`],
    ['upper case', indexType.toUpperCase()],
  ])('ignores %s in the content type', async (_, contentType) => {
    registry.addManifest({ repository: 'team/app', tag: '1', mediaType: indexType })
    registry.behave(() => ({ headers: { 'content-type': contentType } }))

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'found',
      mediaType: indexType,
    })
    expect(methods()).toEqual(['HEAD'])
  })

  it('is sent below the path of the endpoint', async () => {
    const behind = await startFakeRegistry({ prefix: '/cache/hub' })
    const digest = behind.addManifest({ repository: 'team/app', tag: 'latest' })
    const through = createClient([registryAt(`${behind.url}/`, { host: 'docker.io' })])

    expect(await ask(through, 'docker.io', { reference: 'latest' })).toMatchObject({
      outcome: 'found',
      digest,
    })
    expect(behind.requests.map(({ path }) => path)).toEqual([
      '/cache/hub/v2/team/app/manifests/latest',
    ])
    await through.close()
    await behind.close()
  })

  it('accepts a digest with another algorithm', async () => {
    registry.addManifest({ repository: 'team/app', tag: '1' })
    const digest = digestOf(emptyManifest(manifestType), 'sha512')
    registry.behave(() => ({ headers: { 'docker-content-digest': digest } }))

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found', digest })
  })
})

describe('a GET after a HEAD', () => {
  it.each<[string, Behaviour]>([
    ['no digest', { headers: { 'docker-content-digest': null } }],
    ['an empty digest', { headers: { 'docker-content-digest': '' } }],
    ['a short digest', { headers: { 'docker-content-digest': 'sha256:abc' } }],
    ['an upper-case digest', { headers: { 'docker-content-digest': otherDigest.toUpperCase() } }],
    ['a sha1 digest', { headers: { 'docker-content-digest': `sha1:${'a'.repeat(40)}` } }],
    ['a digest with trailing text', { headers: { 'docker-content-digest': `${otherDigest}@x` } }],
    ['two digests', { headers: { 'docker-content-digest': [otherDigest, otherDigest] } }],
    ['no length', { headers: { 'content-length': null } }],
    ['a length of 0', { headers: { 'content-length': '0' } }],
    ['no content type', { headers: { 'content-type': null } }],
    ['a generic content type', { headers: { 'content-type': 'application/json' } }],
  ])('is sent for %s', async (_, behaviour) => {
    const body = `{ "schemaVersion": 2,\n\t"mediaType": "${indexType}" , "manifests": [] }\n`
    const digest = registry.addManifest({
      repository: 'team/app',
      tag: '1',
      body,
      mediaType: indexType,
    })
    respondTo('HEAD', behaviour)

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'found',
      digest,
      mediaType: indexType,
    })
    expect(methods()).toEqual(['HEAD', 'GET'])
    expect(registry.requests[1]?.headers.accept).toBe(registry.requests[0]?.headers.accept)
  })

  it.each([405, 501, 403])('is sent for status %d', async (status) => {
    const digest = registry.addManifest({ repository: 'team/app', tag: '1' })
    respondTo('HEAD', { status })

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found', digest })
    expect(methods()).toEqual(['HEAD', 'GET'])
  })

  it('is sent for status 404, until a HEAD has found a manifest', async () => {
    const digest = registry.addManifest({ repository: 'team/app', tag: '1' })
    respondTo('HEAD', { status: 404 })
    const lying = await ask(client, registry.host)
    registry.behave(() => null)
    await ask(client, registry.host)
    const before = registry.requests.length
    const absent = await ask(client, registry.host, { reference: 'none' })

    expect(lying).toMatchObject({ outcome: 'found', digest })
    expect(absent).toEqual({ outcome: 'absent', detail: '404' })
    expect(methods()).toEqual(['HEAD', 'GET', 'HEAD', 'HEAD'])
    expect(before).toBe(3)
  })

  it.each<[number, string, string]>([
    [404, 'absent', '404'],
    [429, 'absent', '404'],
    [403, 'absent', '404'],
    [503, 'unreachable', '503'],
  ])('after status 404 with status %d is %s', async (status, outcome, detail) => {
    registry.behave(({ method }) => ({ status: method === 'HEAD' ? 404 : status }))

    const answer = await ask(client, registry.host)

    expect(answer).toMatchObject({ outcome, detail: expect.stringContaining(detail) as string })
    expect(methods()).toEqual(['HEAD', 'GET'])
  })

  it('after status 404 does not make a manifest that is not valid exist', async () => {
    registry.behave(({ method }) =>
      method === 'HEAD'
        ? { status: 404 }
        : { status: 200, body: '<html>', headers: { 'content-type': 'text/html' } },
    )

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'invalid' })
  })

  it.each([
    ['two digests', [otherDigest, otherDigest]],
    ['two digests in one header', `${otherDigest}, ${otherDigest}`],
    ['no digest', null],
  ])('computes the digest if both have %s', async (_, value) => {
    const digest = registry.addManifest({ repository: 'team/app', tag: '1' })
    registry.behave(() => ({ headers: { 'docker-content-digest': value } }))

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found', digest })
    expect(methods()).toEqual(['HEAD', 'GET'])
  })

  it('computes the digest if GET has no valid one either', async () => {
    const digest = registry.addManifest({ repository: 'team/app', tag: '1' })
    registry.behave(() => ({ headers: { 'docker-content-digest': 'nonsense' } }))

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found', digest })
  })

  it('computes the digest with the requested algorithm', async () => {
    const digest = registry.addManifest({ repository: 'team/app' })
    const reference = digestOf(emptyManifest(manifestType), 'sha512')

    expect(await ask(client, registry.host, { reference })).toMatchObject({
      outcome: 'found',
      digest: reference,
    })
    expect(registry.requests[0]?.path).toContain(reference)
    expect(digest).not.toBe(reference)
  })
})

describe('createManifestSource', () => {
  it('contacts only listed registries', async () => {
    const listed = createClient([registryAt('https://a.example', { probe: false })])

    expect([listed.isListed('a.example'), listed.isListed('b.example')]).toEqual([true, false])
    expect([listed.isProbed('a.example'), listed.isProbed('b.example')]).toEqual([false, false])
    expect(await ask(listed, registry.host)).toMatchObject({ outcome: 'invalid' })
    expect(registry.requests).toEqual([])
    await listed.close()
  })
})

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
    ['[]', /not a JSON object/],
    ['"text"', /not a JSON object/],
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
