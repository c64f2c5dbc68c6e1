import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { AwsApi, AwsCallOptions } from '../../src/aws/sdk.ts'
import { createEcrKeychain } from '../../src/aws/ecr-keychain.ts'
import { minRefreshMs } from '../../src/aws/ecr-token-refresh.ts'
import type { EcrSettings } from '../../src/aws/ecr-settings.ts'
import { createEcrTokenCache } from '../../src/aws/ecr-token-cache.ts'
import { registryHost, secondRole, settings, startOfTests } from '../support/ecr.ts'

const twelveHours = 43_200_000
const halfLifetime = twelveHours / 2

/** A cache with a fake clock and a fake AWS that counts calls. */
function start({ livesMs = twelveHours, random = 0 } = {}) {
  const state = {
    now: startOfTests,
    livesMs,
    errorName: null as string | null,
  }
  const calls: AwsCallOptions[] = []
  const problems: string[] = []
  const throwIfSet = () => {
    if (state.errorName !== null) throw Object.assign(new Error('no'), { name: state.errorName })
  }
  const aws: AwsApi = {
    assumeRoleWithWebIdentity: () => Promise.reject(new Error('unexpected call')),
    assumeRole: (_, { roleArn }) => {
      throwIfSet()
      const keys = { accessKeyId: 'k', secretAccessKey: 's', sessionToken: 't' }
      return Promise.resolve({ keys, arn: `${roleArn}/session` })
    },
    callerArn: () => Promise.resolve('arn:caller'),
    authorizationToken: async (options) => {
      calls.push(options)
      const text = `AWS:token-${calls.length}`
      await Promise.resolve()
      throwIfSet()
      return {
        token: Buffer.from(text).toString('base64'),
        expiresAt: new Date(state.now + state.livesMs),
      }
    },
  }
  const tokens = createEcrTokenCache({
    aws,
    env: {},
    secretsDirectory: '/nowhere',
    now: () => state.now,
    random: () => random,
    onFailure: ({ message }) => problems.push(message),
  })
  const password = async (one: EcrSettings = settings) =>
    (await tokens.current(one)).token?.password ?? null
  return { state, calls, problems, tokens, password }
}

/** Waits for refreshes in the background. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('the ECR token cache', () => {
  it('fetches one token for concurrent requests', async () => {
    const { calls, password } = start()

    const passwords = await Promise.all(Array.from({ length: 500 }, () => password()))

    expect(new Set(passwords)).toEqual(new Set(['token-1']))
    expect(calls).toHaveLength(1)
  })

  it('fetches one token for each identity and region, for any number of registries', async () => {
    const { calls, tokens } = start()
    const variants: EcrSettings[] = [
      settings,
      { ...settings, region: 'eu-west-1' },
      { ...settings, chain: [] },
    ]
    const keychains = variants.flatMap((one) => [
      createEcrKeychain(one, tokens),
      createEcrKeychain({ ...one }, tokens),
    ])

    await Promise.all(keychains.map((keychain) => keychain.lookup(registryHost, 'app')))

    expect(calls.map(({ region }) => region).sort()).toEqual([
      'eu-west-1',
      'us-east-1',
      'us-east-1',
    ])
  })
})

describe('a refresh', () => {
  it('starts once after half of the lifetime, in the background', async () => {
    const { state, calls, password } = start()
    await password()
    state.now += halfLifetime - 1
    const before = await password()
    state.now += 1
    const atHalfLife = await Promise.all([password(), password()])
    await settled()

    expect([before, ...atHalfLife, await password()]).toEqual([
      'token-1',
      'token-1',
      'token-1',
      'token-2',
    ])
    expect(calls).toHaveLength(2)
  })

  it('is awaited by refreshed()', async () => {
    const { state, tokens } = start()
    await tokens.refreshed(settings)
    state.now += halfLifetime

    expect((await tokens.refreshed(settings)).token?.password).toBe('token-2')
  })

  it('of a token that expired 11 years ago starts every five minutes at most', async () => {
    const { state, calls, tokens } = start({ livesMs: -347_000_000_000, random: 1 })
    const seen: (string | undefined)[] = []
    for (let minute = 0; minute < 60; minute++) {
      seen.push((await tokens.refreshed(settings)).token?.password)
      state.now += 60_000
    }

    expect(calls).toHaveLength(60 / (minRefreshMs / 60_000))
    expect(seen).not.toContain(undefined)
  })
})

describe('a token without a valid expiry', () => {
  it.each([
    ['no date', undefined],
    ['an invalid date', new Date('invalid')],
  ])('is valid, and is fetched again after five minutes: %s', async (_, expiresAt) => {
    let now = startOfTests
    const tokens = createEcrTokenCache({
      aws: {
        assumeRoleWithWebIdentity: () => Promise.reject(new Error('unexpected call')),
        assumeRole: () => Promise.reject(new Error('unexpected call')),
        callerArn: () => Promise.resolve('arn:caller'),
        authorizationToken: () =>
          Promise.resolve({ token: Buffer.from(`AWS:${now}`).toString('base64'), expiresAt }),
      },
      env: {},
      secretsDirectory: '/nowhere',
      now: () => now,
      random: () => 0,
    })
    const direct: EcrSettings = { ...settings, chain: [] }
    const seen: (string | undefined)[] = []
    for (const after of [0, minRefreshMs - 1, minRefreshMs]) {
      now = startOfTests + after
      seen.push((await tokens.refreshed(direct)).token?.password)
    }

    expect(seen).toEqual([
      String(startOfTests),
      String(startOfTests),
      String(startOfTests + minRefreshMs),
    ])
  })
})

describe('a failed refresh', () => {
  it('leaves the last token in use until it expires', async () => {
    const { state, tokens, password, problems } = start()
    await password()
    state.errorName = 'Throttling'
    const passwords: (string | null)[] = []
    for (const at of [halfLifetime, twelveHours - 1, twelveHours]) {
      state.now = startOfTests + at
      const { token } = await tokens.refreshed(settings)
      passwords.push(token?.password ?? null)
    }

    expect(passwords).toEqual(['token-1', 'token-1', null])
    expect(problems[0]).toContain('Throttling')
  })

  it('is retried with backoff, not by every request', async () => {
    const { state, calls, tokens, password } = start()
    state.errorName = 'ServiceUnavailable'
    const { chain: _, ...rest } = settings
    const direct = { ...rest, chain: [] }
    for (let second = 0; second < 3600; second++) {
      await password(direct)
      state.now += 1000
    }
    // After 10, 20, 40, 80 and 160 seconds; then every five minutes.
    expect(calls).toHaveLength(6 + Math.floor((3600 - 310) / 300))

    state.errorName = null
    state.now += minRefreshMs

    expect((await tokens.current(direct)).failure).toBeNull()
  })

  it('rejects lookups while there is no token, with the failed step and no role name', async () => {
    const { state, tokens, problems } = start()
    state.errorName = 'AccessDenied'
    const keychain = createEcrKeychain(settings, tokens)
    const lookup = () => keychain.lookup(registryHost, 'app').catch((error: unknown) => error)
    const expected = {
      code: 'credentials-invalid',
      message: 'no ECR token for us-east-1: role 1 of the chain: AccessDenied',
    }

    expect([await lookup(), await lookup()]).toEqual([
      expect.objectContaining(expected),
      expect.objectContaining(expected),
    ])
    expect(problems).toEqual([
      expect.stringContaining(`→ role ${secondRole}: AccessDenied: no;`) as string,
    ])
  })

  it.each([
    ['no authorizationData', undefined],
    ['an empty token', ''],
    ['a token without a password', Buffer.from('AWS:').toString('base64')],
    ['a token that is not base64', 'AWS:x'],
  ])('is reported for a response with %s', async (_, response) => {
    const tokens = createEcrTokenCache({
      aws: {
        assumeRoleWithWebIdentity: () => Promise.reject(new Error('unexpected call')),
        assumeRole: () => Promise.reject(new Error('unexpected call')),
        callerArn: () => Promise.resolve('arn:caller'),
        authorizationToken: () => Promise.resolve({ token: response, expiresAt: undefined }),
      },
      env: {},
      secretsDirectory: '/nowhere',
      now: () => startOfTests,
      random: () => 0,
    })

    const { token, failure } = await tokens.current({ ...settings, chain: [] })

    expect([token, failure?.step, failure?.code]).toEqual([null, 'token', 'EmptyResponse'])
  })
})

describe('the ECR keychain', () => {
  it('returns the user AWS, and the caller as the source', async () => {
    const { tokens } = start()

    expect(await createEcrKeychain(settings, tokens).lookup(registryHost, 'app')).toEqual([
      {
        username: 'AWS',
        password: 'token-1',
        source: `the ECR token of ${secondRole}/session in us-east-1`,
      },
    ])
  })
})

describe('static keys', () => {
  it('are read again for each token', async () => {
    const secretsDirectory = mkdtempSync(join(tmpdir(), 'berth-keys-'))
    const used: (string | undefined)[] = []
    let now = startOfTests
    const tokens = createEcrTokenCache({
      aws: {
        assumeRoleWithWebIdentity: () => Promise.reject(new Error('unexpected call')),
        assumeRole: () => Promise.reject(new Error('unexpected call')),
        callerArn: () => Promise.resolve('arn:aws:iam::1:user/u'),
        authorizationToken: ({ keys }) => {
          used.push(keys?.secretAccessKey)
          const token = Buffer.from('AWS:x').toString('base64')
          return Promise.resolve({ token, expiresAt: new Date(now + twelveHours) })
        },
      },
      env: {},
      secretsDirectory,
      now: () => now,
      random: () => 0,
    })
    const withKeys: EcrSettings = {
      ...settings,
      chain: [],
      identity: { kind: 'staticKeys', secret: '.' },
    }
    for (const key of ['first', 'second']) {
      writeFileSync(join(secretsDirectory, 'AWS_ACCESS_KEY_ID'), 'AKIA')
      writeFileSync(join(secretsDirectory, 'AWS_SECRET_ACCESS_KEY'), `${key}\n`)
      const { token } = await tokens.refreshed(withKeys)
      now += halfLifetime
      expect(token?.caller).toBe('arn:aws:iam::1:user/u')
    }

    expect(used).toEqual(['first', 'second'])
  })

  it('that do not exist are reported with their file', async () => {
    const { tokens } = start()
    const { failure } = await tokens.current({
      ...settings,
      identity: { kind: 'staticKeys', secret: 'aws' },
    })

    expect(failure?.message).toBe(
      'ECR token for us-east-1: keys of secret aws: InvalidFile: /nowhere/aws/AWS_ACCESS_KEY_ID cannot be read: it does not exist; fix the file or Secret that it is read from',
    )
  })
})
