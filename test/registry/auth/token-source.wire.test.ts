import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { digestOf, emptyManifest, manifestType, startFakeRegistry } from '../../support/registry.ts'
import {
  startGuardedForTests,
  ask,
  credential,
  exchangesOf,
} from '../../support/manifest-source.ts'

const start = startGuardedForTests()

const found = { outcome: 'found', digest: digestOf(emptyManifest(manifestType)) }

const users = { user: 'right', other: 'also right' }

describe('a bearer token', () => {
  it('is fetched anonymously after the first 401', async () => {
    const { registry, client } = await start({ kind: 'bearer', separate: true })

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(exchangesOf(registry)).toEqual([
      'registry HEAD bare',
      'token GET bare',
      'registry HEAD Bearer',
    ])
  })

  it('is fetched with the credentials of a user', async () => {
    const { registry, client } = await start(
      { kind: 'bearer', users, separate: true },
      { credentials: [credential('right')] },
    )

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(exchangesOf(registry)).toEqual([
      'registry HEAD bare',
      'token GET Basic',
      'registry HEAD Bearer',
    ])
  })

  it('is reused for the next request', async () => {
    const { registry, client } = await start({ kind: 'bearer' })
    await ask(client, registry.host)

    await ask(client, registry.host)

    expect(exchangesOf(registry).slice(3)).toEqual(['registry HEAD Bearer'])
  })

  it('is reused for the GET after a HEAD', async () => {
    const { registry, client } = await start({ kind: 'bearer' })
    registry.behave(({ method, headers }) =>
      method === 'HEAD' && headers.authorization !== undefined ? { status: 405 } : null,
    )

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(exchangesOf(registry).slice(2)).toEqual(['registry HEAD Bearer', 'registry GET Bearer'])
  })

  it.each([
    [undefined, 60],
    [300, 300],
    [0, 60],
    [-5, 60],
    [1e300, 86_400],
  ])('with expires_in %s is cached for nine tenths of %d s', async (expiresIn, life) => {
    let now = 1_000_000
    const { registry, client } = await start(
      { kind: 'bearer', ...(expiresIn === undefined ? {} : { expiresIn }) },
      { now: () => now },
    )
    const tokens = () => exchangesOf(registry).filter((line) => line.startsWith('token')).length
    await ask(client, registry.host)

    now += life * 900 - 1
    await ask(client, registry.host)
    const before = tokens()
    now += 2
    await ask(client, registry.host)

    expect([before, tokens()]).toEqual([1, 2])
  })

  it('is also read from `access_token`', async () => {
    const { registry, client } = await start({ kind: 'bearer', field: 'access_token' })

    expect(await ask(client, registry.host)).toMatchObject(found)
  })

  it('is requested with the scope that Berth needs, not with that of the challenge', async () => {
    const { registry, client } = await start({
      kind: 'bearer',
      challenge: (realm) =>
        `Bearer realm="${realm}?account=a%20b&scope=admin",service="a b",scope="repository:user/image:pull,push"`,
    })

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(registry.requests[1]?.path).toBe(
      '/token?account=a%20b&service=a+b&scope=repository%3Ateam%2Fapp%3Apull',
    )
  })

  it.each<[string, (realm: string) => string | string[]]>([
    ['in a second header', (realm) => ['Negotiate', `Bearer realm="${realm}"`]],
    ['after a basic one', (realm) => `Basic realm="x", Bearer realm="${realm}"`],
    ['in mixed case', (realm) => `bEARER REALM="${realm}"`],
  ])('is fetched for a challenge %s', async (_, challenge) => {
    const { registry, client } = await start({ kind: 'bearer', challenge })

    expect(await ask(client, registry.host)).toMatchObject(found)
  })

  it('is replaced when the registry rejects it', async () => {
    const { registry, client } = await start({ kind: 'bearer' })
    await ask(client, registry.host)

    registry.revokeTokens()

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(exchangesOf(registry).slice(3)).toEqual([
      'registry HEAD Bearer',
      'token GET bare',
      'registry HEAD Bearer',
    ])
  })

  it('is not cached after a rejection, because the next token may have more rights', async () => {
    const { registry, client } = await start({ kind: 'bearer', anonymous: false })
    await ask(client, registry.host)
    await ask(client, registry.host)

    expect(exchangesOf(registry).filter((line) => line.startsWith('token'))).toHaveLength(2)
  })

  it.each([
    ['another repository', { repository: 'team/other' }],
    ['another tag', { reference: '2' }],
  ])('is valid for %s', async (_, query) => {
    const { registry, client } = await start({ kind: 'bearer' })
    await ask(client, registry.host)

    expect(await ask(client, registry.host, query)).toEqual({ outcome: 'absent', detail: '404' })
  })
})

describe('a token server that fails', () => {
  it.each([
    [{ status: 429, headers: { 'retry-after': '7' } }, 'limited', '429, retry after 7 s'],
    [{ status: 503 }, 'unreachable', '503'],
    [{ status: 403 }, 'denied', '403'],
    [{ status: 400 }, 'denied', '400'],
    [{ status: 404 }, 'denied', '404'],
    [{ body: 'UNTRUSTED' }, 'invalid', 'sent no usable token'],
    [{ body: 'null' }, 'invalid', 'sent no usable token'],
    [{ body: '{"token":""}' }, 'invalid', 'sent no usable token'],
    [{ body: '{"token":1}' }, 'invalid', 'sent no usable token'],
    [{ body: '{"token":"a\\r\\nx: y"}' }, 'invalid', 'sent no usable token'],
    [{ body: `{"token":"${'a'.repeat(64 * 1024)}"}` }, 'invalid', 'sent no usable token'],
    [{ endless: true }, 'invalid', 'sent no usable token'],
    [{ gzipBomb: true }, 'invalid', 'sent no usable token'],
    [{ raw: '' }, 'unreachable', 'closed the connection'],
  ] as const)('with %o makes the probe %s', async (behaviour, outcome, detail) => {
    const { registry, client } = await start({ kind: 'bearer' })
    registry.behave(({ server }) => (server === 'token' ? behaviour : null))

    const answer = await ask(client, registry.host)

    expect(answer).toMatchObject({ outcome, detail: expect.stringContaining(detail) as string })
    expect(JSON.stringify(answer)).not.toContain('UNTRUSTED')
  })

  it('by redirecting is not followed', async () => {
    const { registry, client } = await start(
      { kind: 'bearer', users },
      { credentials: [credential('right')] },
    )
    const elsewhere = await startFakeRegistry()
    onTestFinished(() => elsewhere.close())
    registry.behave(({ server }) =>
      server === 'token' ? { status: 302, headers: { location: `${elsewhere.url}/token` } } : null,
    )

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'invalid',
      detail: expect.stringContaining('sent a redirect') as string,
    })
    expect(elsewhere.requests).toEqual([])
  })

  it('to be listed under authHosts is not contacted', async () => {
    const { registry, client } = await start(
      { kind: 'bearer', users, separate: true },
      { credentials: [credential('right')] },
      { authHosts: [] },
    )

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining(
        `${registry.tokenHost} is not a known token server of ${registry.host}; if you trust it, list it under authHosts`,
      ) as string,
    })
    expect(exchangesOf(registry)).toEqual(['registry HEAD bare'])
  })
})

describe('an identity token', () => {
  const identityToken = 'refresh-token'
  const withToken = { username: '', password: '', identityToken, source: 'test' }

  /** A token server that records the forms that it gets, on loopback. */
  async function startTokenServer(answer: string) {
    const requests: { method: string; authorization: string | undefined; form: unknown }[] = []
    const server = createServer((request, response) => {
      let text = ''
      request.on('data', (piece: Buffer) => (text += piece.toString()))
      request.on('end', () => {
        const { method = '', headers } = request
        const form = Object.fromEntries(new URLSearchParams(text))
        requests.push({ method, authorization: headers.authorization, form })
        response.end(answer)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const close = () => new Promise<void>((resolve) => void server.close(() => resolve()))
    return { host, requests, close }
  }

  it('is sent only in the form that exchanges it for an access token', async () => {
    const tokens = await startTokenServer('{"access_token":"granted"}')
    const challenge = () => `Bearer realm="http://${tokens.host}/oauth2/token",service="fake"`
    const { registry, client } = await start(
      { kind: 'bearer', challenge },
      { credentials: [withToken] },
      { authHosts: [tokens.host] },
    )
    await ask(client, registry.host)
    await client.close()
    await tokens.close()

    expect(tokens.requests).toEqual([
      {
        method: 'POST',
        authorization: undefined,
        form: {
          grant_type: 'refresh_token',
          client_id: 'berth',
          service: 'fake',
          scope: 'repository:team/app:pull',
          refresh_token: identityToken,
        },
      },
    ])
    expect(registry.requests.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      'Bearer granted',
    ])
  })

  it('is tried before the password of the same entry, which a registry without a token server accepts', async () => {
    const password = credential('right')
    const { registry, client } = await start(
      { kind: 'basic', users: { user: 'right' } },
      { credentials: [{ ...password, identityToken }, password] },
    )

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'found' })
  })

  it('is not sent as a password', async () => {
    const { registry, client } = await start(
      { kind: 'basic', users: {} },
      { credentials: [withToken] },
    )

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining('has no token server for an identitytoken') as string,
    })
    expect(exchangesOf(registry)).toEqual(['registry HEAD bare'])
  })
})
