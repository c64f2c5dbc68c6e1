import { afterEach, describe, expect, it } from 'vitest'
import { BerthError } from '../../src/errors.ts'
import type { RegistrySettings } from '../../src/registry/settings.ts'
import {
  digestOf,
  emptyManifest,
  type FakeRegistry,
  manifestType,
  startFakeRegistry,
} from '../support/registry.ts'
import type { FakeAuthOptions } from '../support/registry-auth.ts'
import {
  ask,
  type Client,
  type ClientOptions,
  createClient,
  credential,
  registryAt,
} from '../support/registry-client.ts'

const open: (Client | FakeRegistry)[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

const found = { outcome: 'found', digest: digestOf(emptyManifest(manifestType)) }
const users = { user: 'right', other: 'also right' }

/** A registry with `team/app:1`, and a client that may send credentials to it over plain HTTP. */
async function start(
  auth: FakeAuthOptions,
  options: ClientOptions = {},
  changes: Partial<RegistrySettings> = {},
): Promise<{ registry: FakeRegistry; client: Client }> {
  const registry = await startFakeRegistry({ auth })
  registry.addManifest({ repository: 'team/app', tag: '1' })
  const settings = registryAt(registry.url, {
    allowPlainHttpAuth: true,
    authHosts: [registry.tokenHost],
    ...changes,
  })
  const client = createClient([settings], options)
  open.push(client, registry)
  return { registry, client }
}

function log({ requests }: FakeRegistry): string[] {
  return requests.map(({ server, method, headers }) => {
    const [scheme = 'bare'] = headers.authorization?.split(' ') ?? []
    return `${server} ${method} ${scheme}`
  })
}

describe('a registry that wants a token', () => {
  it('gets one for an anonymous caller, who is sent without anything first', async () => {
    const { registry, client } = await start({ kind: 'bearer', separate: true })

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(log(registry)).toEqual(['registry HEAD bare', 'token GET bare', 'registry HEAD Bearer'])
  })

  it('gets one for a user', async () => {
    const { registry, client } = await start(
      { kind: 'bearer', users, separate: true },
      { credentials: [credential('right')] },
    )

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(log(registry)).toEqual(['registry HEAD bare', 'token GET Basic', 'registry HEAD Bearer'])
  })

  it('gets the same one again, without another question', async () => {
    const { registry, client } = await start({ kind: 'bearer' })
    await ask(client, registry.host)

    await ask(client, registry.host)

    expect(log(registry).slice(3)).toEqual(['registry HEAD Bearer'])
  })

  it('gets the same one for the GET after a HEAD', async () => {
    const { registry, client } = await start({ kind: 'bearer' })
    registry.behave(({ method, headers }) =>
      method === 'HEAD' && headers.authorization !== undefined ? { status: 405 } : null,
    )

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(log(registry).slice(2)).toEqual(['registry HEAD Bearer', 'registry GET Bearer'])
  })

  it.each([
    [undefined, 60],
    [300, 300],
    [0, 60],
    [-5, 60],
    [1e300, 86_400],
  ])(
    'with expires_in %s keeps it for nine tenths of %d s of our clock',
    async (expiresIn, life) => {
      let now = 1_000_000
      const { registry, client } = await start(
        { kind: 'bearer', ...(expiresIn === undefined ? {} : { expiresIn }) },
        { now: () => now },
      )
      const tokens = () => log(registry).filter((line) => line.startsWith('token')).length
      await ask(client, registry.host)

      now += life * 900 - 1
      await ask(client, registry.host)
      const before = tokens()
      now += 2
      await ask(client, registry.host)

      expect([before, tokens()]).toEqual([1, 2])
    },
  )

  it('is given `access_token` as well', async () => {
    const { registry, client } = await start({ kind: 'bearer', field: 'access_token' })

    expect(await ask(client, registry.host)).toMatchObject(found)
  })

  it('asks with our scope, whatever the challenge says (R-23)', async () => {
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
    ['a second header', (realm) => ['Negotiate', `Bearer realm="${realm}"`]],
    ['behind Basic', (realm) => `Basic realm="x", Bearer realm="${realm}"`],
    ['in mixed case', (realm) => `bEARER REALM="${realm}"`],
  ])('is understood when it says so in %s (R-21)', async (_, challenge) => {
    const { registry, client } = await start({ kind: 'bearer', challenge })

    expect(await ask(client, registry.host)).toMatchObject(found)
  })

  it('that no longer takes the kept one gets a new one', async () => {
    const { registry, client } = await start({ kind: 'bearer' })
    await ask(client, registry.host)

    registry.revokeTokens()

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(log(registry).slice(3)).toEqual([
      'registry HEAD Bearer',
      'token GET bare',
      'registry HEAD Bearer',
    ])
  })

  it('keeps no token that was refused: rights may have been given since', async () => {
    const { registry, client } = await start({ kind: 'bearer', anonymous: false })
    await ask(client, registry.host)
    await ask(client, registry.host)

    expect(log(registry).filter((line) => line.startsWith('token'))).toHaveLength(2)
  })

  it.each([
    ['another repository', { repository: 'team/other' }],
    ['another tag', { reference: '2' }],
  ])('is asked about %s', async (_, question) => {
    const { registry, client } = await start({ kind: 'bearer' })
    await ask(client, registry.host)

    expect(await ask(client, registry.host, question)).toEqual({ outcome: 'absent', detail: '404' })
  })
})

describe('no more than one attempt for each credential (R-22)', () => {
  it('ends at the second 401', async () => {
    const { registry, client } = await start({ kind: 'bearer', anonymous: false, separate: true })

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'denied',
      detail: `401 from ${registry.host} to a token of ${registry.tokenHost}; asked for repository:team/app:pull with no credentials`,
    })
    expect(log(registry)).toEqual(['registry HEAD bare', 'token GET bare', 'registry HEAD Bearer'])
  })

  it.each(['bearer', 'basic'] as const)('goes on to the next credential: %s', async (kind) => {
    const credentials = [credential('wrong'), credential('also right', 'other')]
    const { registry, client } = await start({ kind, users }, { credentials })

    expect(await ask(client, registry.host)).toMatchObject(found)
    registry.behave(() => null)
    const count = registry.requests.length
    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(registry.requests.length).toBe(count + 1)
  })

  it('says what was tried, and no secret', async () => {
    const credentials = [credential('canary-1'), credential('canary-2', 'other')]
    const { registry, client } = await start(
      { kind: 'bearer', users, separate: true },
      { credentials },
    )

    const answer = await ask(client, registry.host)

    expect(answer).toEqual({
      outcome: 'denied',
      detail: `401 UNAUTHORIZED from the token server ${registry.tokenHost}; asked for repository:team/app:pull with test user, test other`,
    })
    expect(JSON.stringify(answer)).not.toContain('canary')
    expect(log(registry)).toEqual(['registry HEAD bare', 'token GET Basic', 'token GET Basic'])
  })

  it('is said for Basic as well', async () => {
    const { registry, client } = await start(
      { kind: 'basic', users },
      { credentials: [credential('canary')] },
    )

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'denied',
      detail: `401 from ${registry.host}; asked for repository:team/app:pull with test user`,
    })
    expect(log(registry)).toEqual(['registry HEAD bare', 'registry HEAD Basic'])
  })

  it('without credentials, Basic is not tried', async () => {
    const { registry, client } = await start({ kind: 'basic', users })

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining('wants a user and password') as string,
    })
    expect(log(registry)).toEqual(['registry HEAD bare'])
  })

  it('sends a password with colons as it is', async () => {
    const { registry, client } = await start(
      { kind: 'basic', users: { user: 'p:q:ß' } },
      { credentials: [credential('p:q:ß')] },
    )

    expect(await ask(client, registry.host)).toMatchObject(found)
  })

  it.each([undefined, 'Negotiate', '"', 'Bearer'])('ends at a 401 with %j', async (challenge) => {
    const { registry, client } = await start({ kind: 'none' })
    const headers = challenge === undefined ? {} : { 'www-authenticate': challenge }
    registry.behave(() => ({ status: 401, headers }))

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'denied' })
    expect(registry.requests).toHaveLength(1)
  })
})

describe('a token server', () => {
  it.each([
    [{ status: 429, headers: { 'retry-after': '7' } }, 'limited', '429, retry after 7 s'],
    [{ status: 503 }, 'unreachable', '503'],
    [{ status: 403 }, 'denied', '403'],
    [{ status: 400 }, 'denied', '400'],
    [{ status: 404 }, 'denied', '404'],
    [{ body: 'UNTRUSTED' }, 'invalid', 'gave no token'],
    [{ body: 'null' }, 'invalid', 'gave no token'],
    [{ body: '{"token":""}' }, 'invalid', 'gave no token'],
    [{ body: '{"token":1}' }, 'invalid', 'gave no token'],
    [{ body: '{"token":"a\\r\\nx: y"}' }, 'invalid', 'gave no token'],
    [{ body: `{"token":"${'a'.repeat(64 * 1024)}"}` }, 'invalid', 'gave no token'],
    [{ endless: true }, 'invalid', 'gave no token'],
    [{ gzipBomb: true }, 'invalid', 'gave no token'],
    [{ raw: '' }, 'unreachable', 'closed the connection'],
  ] as const)('that answers %o makes it %s (R-15)', async (behaviour, outcome, detail) => {
    const { registry, client } = await start({ kind: 'bearer' })
    registry.behave(({ server }) => (server === 'token' ? behaviour : null))

    const answer = await ask(client, registry.host)

    expect(answer).toMatchObject({ outcome, detail: expect.stringContaining(detail) as string })
    expect(JSON.stringify(answer)).not.toContain('UNTRUSTED')
  })

  it('is not followed to where it redirects (R-24)', async () => {
    const { registry, client } = await start(
      { kind: 'bearer', users },
      { credentials: [credential('right')] },
    )
    const elsewhere = await startFakeRegistry()
    open.push(elsewhere)
    registry.behave(({ server }) =>
      server === 'token' ? { status: 302, headers: { location: `${elsewhere.url}/token` } } : null,
    )

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'invalid',
      detail: expect.stringContaining('redirects') as string,
    })
    expect(elsewhere.requests).toEqual([])
  })

  it('that is not listed is not contacted (R-24)', async () => {
    const { registry, client } = await start(
      { kind: 'bearer', users, separate: true },
      { credentials: [credential('right')] },
      { authHosts: [] },
    )

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining(
        `the token server ${registry.tokenHost} is not known for ${registry.host}; list it under authHosts`,
      ) as string,
    })
    expect(log(registry)).toEqual(['registry HEAD bare'])
  })
})

describe('credentials over plain HTTP (R-26)', () => {
  const credentials = [credential('right')]
  const changes = { allowPlainHttpAuth: false }

  it.each(['basic', 'bearer'] as const)('are not sent: %s', async (kind) => {
    const { registry, client } = await start({ kind, users }, { credentials }, changes)

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringMatching(
        /not sent over plain HTTP without allowPlainHttpAuth$/,
      ) as string,
    })
    expect(JSON.stringify(registry.requests)).not.toContain('Basic')
  })

  it('are not needed where an anonymous token will do', async () => {
    const { registry, client } = await start(
      { kind: 'bearer', users, anonymous: true },
      { credentials },
      changes,
    )

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(JSON.stringify(registry.requests)).not.toContain('Basic')
  })
})

describe('two identities (R-17)', () => {
  it('share neither a token nor what is known of a repository', async () => {
    let credentials = [credential('right')]
    const keychain = { lookup: () => Promise.resolve(credentials) }
    const { registry, client } = await start({ kind: 'bearer', users }, { keychain })
    const question = { host: registry.host, repository: 'team/app', reference: '1' }
    const one = await client.prepare(question)
    await one.ask(new AbortController().signal)

    credentials = []
    const other = await client.prepare(question)

    expect(other.credentialIdentity).toBe('anonymous')
    expect(one.credentialIdentity).not.toBe(other.credentialIdentity)
    expect(await other.ask(new AbortController().signal)).toMatchObject({ outcome: 'denied' })
    expect(await one.ask(new AbortController().signal)).toMatchObject(found)
  })

  it('are told apart before the question is asked, from one reading of the keychain', async () => {
    let lookups = 0
    const keychain = {
      lookup: () => Promise.resolve([credential(++lookups === 1 ? 'right' : 'wrong')]),
    }
    const { registry, client } = await start({ kind: 'basic', users }, { keychain })

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(lookups).toBe(1)
  })
})

describe('credentials that cannot be read', () => {
  it('are a denial with their own message, and nothing is asked', async () => {
    const message = 'FILE cannot be read (ENOENT); create it'
    const keychain = {
      lookup: () => Promise.reject(new BerthError('credentials-invalid', message)),
    }
    const { registry, client } = await start({ kind: 'none' }, { keychain })

    expect(await ask(client, registry.host)).toEqual({ outcome: 'denied', detail: message })
    expect(registry.requests).toEqual([])
  })
})
