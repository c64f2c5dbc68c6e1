import { describe, expect, it } from 'vitest'
import { BerthError } from '../../../src/errors.ts'
import { digestOf, emptyManifest, manifestType } from '../../support/registry.ts'
import {
  startGuardedForTests,
  ask,
  credential,
  exchangesOf,
} from '../../support/manifest-source.ts'

const start = startGuardedForTests()

const found = { outcome: 'found', digest: digestOf(emptyManifest(manifestType)) }

const users = { user: 'right', other: 'also right' }

describe('a challenge', () => {
  it('is answered once, and a second 401 is a denial', async () => {
    const { registry, client } = await start({ kind: 'bearer', anonymous: false, separate: true })

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'denied',
      detail: `401 from ${registry.host} for a token from ${registry.tokenHost}; requested repository:team/app:pull with no credentials`,
    })
    expect(exchangesOf(registry)).toEqual([
      'registry HEAD bare',
      'token GET bare',
      'registry HEAD Bearer',
    ])
  })

  it.each(['bearer', 'basic'] as const)(
    'of type %s is answered with the next credential after a rejected one',
    async (kind) => {
      const credentials = [credential('wrong'), credential('also right', 'other')]
      const { registry, client } = await start({ kind, users }, { credentials })

      expect(await ask(client, registry.host)).toMatchObject(found)
      registry.behave(() => null)
      const count = registry.requests.length
      expect(await ask(client, registry.host)).toMatchObject(found)
      expect(registry.requests.length).toBe(count + 1)
    },
  )

  it('is denied with a message that names the credentials, but contains no secret', async () => {
    const credentials = [credential('canary-1'), credential('canary-2', 'other')]
    const { registry, client } = await start(
      { kind: 'bearer', users, separate: true },
      { credentials },
    )

    const answer = await ask(client, registry.host)

    expect(answer).toEqual({
      outcome: 'denied',
      detail: `401 UNAUTHORIZED from the token server ${registry.tokenHost}; requested repository:team/app:pull with test user, test other`,
    })
    expect(JSON.stringify(answer)).not.toContain('canary')
    expect(exchangesOf(registry)).toEqual([
      'registry HEAD bare',
      'token GET Basic',
      'token GET Basic',
    ])
  })

  it('for basic authentication is denied with the same message', async () => {
    const { registry, client } = await start(
      { kind: 'basic', users },
      { credentials: [credential('canary')] },
    )

    expect(await ask(client, registry.host)).toEqual({
      outcome: 'denied',
      detail: `401 from ${registry.host}; requested repository:team/app:pull with test user`,
    })
    expect(exchangesOf(registry)).toEqual(['registry HEAD bare', 'registry HEAD Basic'])
  })

  it('is denied with a message that names the file without an entry for the registry', async () => {
    const settings = { credentials: { kind: 'dockerConfig', file: '/etc/docker.json' } } as const
    const { registry, client } = await start({ kind: 'basic', users }, {}, settings)

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining(
        `no credentials: /etc/docker.json has no entry for ${registry.host} with a user and password`,
      ),
    })
  })

  it('for basic authentication is not answered without credentials', async () => {
    const { registry, client } = await start({ kind: 'basic', users })

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining('requires a user and password') as string,
    })
    expect(exchangesOf(registry)).toEqual(['registry HEAD bare'])
  })

  it('is answered with a password that contains colons', async () => {
    const { registry, client } = await start(
      { kind: 'basic', users: { user: 'p:q:ß' } },
      { credentials: [credential('p:q:ß')] },
    )

    expect(await ask(client, registry.host)).toMatchObject(found)
  })

  it.each([undefined, 'Negotiate', '"', 'Bearer'])('of %j is a denial', async (challenge) => {
    const { registry, client } = await start({ kind: 'none' })
    const headers = challenge === undefined ? {} : { 'www-authenticate': challenge }
    registry.behave(() => ({ status: 401, headers }))

    expect(await ask(client, registry.host)).toMatchObject({ outcome: 'denied' })
    expect(registry.requests).toHaveLength(1)
  })
})

describe('credentials over plain HTTP', () => {
  const credentials = [credential('right')]
  const changes = { allowPlainHttpAuth: false }

  it.each(['basic', 'bearer'] as const)('are not sent for %s authentication', async (kind) => {
    const { registry, client } = await start({ kind, users }, { credentials }, changes)

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringMatching(
        /credentials are sent over plain HTTP only with allowPlainHttpAuth$/,
      ) as string,
    })
    expect(JSON.stringify(registry.requests)).not.toContain('Basic')
  })

  it('are not needed if an anonymous token is enough', async () => {
    const { registry, client } = await start(
      { kind: 'bearer', users, anonymous: true },
      { credentials },
      changes,
    )

    expect(await ask(client, registry.host)).toMatchObject(found)
    expect(JSON.stringify(registry.requests)).not.toContain('Basic')
  })
})

describe('two identities', () => {
  it('share neither tokens nor remembered challenges', async () => {
    let credentials = [credential('right')]
    const keychain = { lookup: () => Promise.resolve(credentials) }
    const { registry, client } = await start({ kind: 'bearer', users }, { keychain })
    const query = {
      host: registry.host,
      repository: 'team/app',
      reference: '1',
      namespace: 'default',
    }
    const one = await client.prepare(query)
    await one.send(new AbortController().signal)

    credentials = []
    const other = await client.prepare(query)

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

  it('are determined before the request, with one lookup in the keychain', async () => {
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
  it('are a denial with the message of the keychain, and no request is sent', async () => {
    const message = 'FILE cannot be read (ENOENT); create it'
    const keychain = {
      lookup: () => Promise.reject(new BerthError('credentials-invalid', message)),
    }
    const { registry, client } = await start({ kind: 'none' }, { keychain })

    expect(await ask(client, registry.host)).toEqual({ outcome: 'denied', detail: message })
    expect(registry.requests).toEqual([])
  })
})
