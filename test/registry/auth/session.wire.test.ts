import { afterEach, describe, expect, it } from 'vitest'
import { BerthError } from '../../../src/errors.ts'
import { type FakeRegistry, digestOf, emptyManifest, manifestType } from '../../support/registry.ts'
import {
  type Client,
  startGuarded,
  ask,
  credential,
  exchangesOf,
} from '../../support/manifest-source.ts'

const open: (Client | FakeRegistry)[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

const start: typeof startGuarded = async (...args) => {
  const started = await startGuarded(...args)
  open.push(started.client, started.registry)
  return started
}

const found = { outcome: 'found', digest: digestOf(emptyManifest(manifestType)) }

const users = { user: 'right', other: 'also right' }

describe('no more than one attempt for each credential (R-22)', () => {
  it('ends at the second 401', async () => {
    const { registry, client } = await start({ kind: 'bearer', anonymous: false, separate: true })

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'denied',
      detail: `401 from ${registry.host} to a token of ${registry.tokenHost}; asked for repository:team/app:pull with no credentials`,
    })
    expect(exchangesOf(registry)).toEqual([
      'registry HEAD bare',
      'token GET bare',
      'registry HEAD Bearer',
    ])
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
    expect(exchangesOf(registry)).toEqual([
      'registry HEAD bare',
      'token GET Basic',
      'token GET Basic',
    ])
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
    expect(exchangesOf(registry)).toEqual(['registry HEAD bare', 'registry HEAD Basic'])
  })

  it('names the place that has nothing for this registry', async () => {
    const settings = { credentials: { kind: 'dockerConfig', file: '/etc/docker.json' } } as const
    const { registry, client } = await start({ kind: 'basic', users }, {}, settings)

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining(
        `no credentials: /etc/docker.json has no key with a user and password that a kubelet would use for ${registry.host}`,
      ),
    })
  })

  it('without credentials, Basic is not tried', async () => {
    const { registry, client } = await start({ kind: 'basic', users })

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining('wants a user and password') as string,
    })
    expect(exchangesOf(registry)).toEqual(['registry HEAD bare'])
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
    await one.send(new AbortController().signal)

    credentials = []
    const other = await client.prepare(question)

    expect(other.credentialIdentity).toBe('anonymous')
    expect(one.credentialIdentity).not.toBe(other.credentialIdentity)
    const before = registry.requests.length
    expect(await other.send(new AbortController().signal)).toMatchObject({ outcome: 'denied' })
    expect(exchangesOf(registry).slice(before)).toEqual([
      'registry HEAD bare',
      'token GET bare',
      'registry HEAD Bearer',
    ])
    expect(await one.send(new AbortController().signal)).toMatchObject(found)
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
