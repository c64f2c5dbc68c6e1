import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { AwsApi, AwsCallOptions } from '../../src/aws/sdk.ts'
import { createEcrKeychain } from '../../src/aws/ecr-keychain.ts'
import { maxRefreshMs, minRefreshMs } from '../../src/aws/ecr-token-refresh.ts'
import type { EcrSettings } from '../../src/aws/ecr-settings.ts'
import { createEcrTokenCache } from '../../src/aws/ecr-token-cache.ts'
import { registryHost, secondRole, settings, startOfTests } from '../support/ecr.ts'

const twelveHours = 43_200_000

/** A world with a clock of its own, and an AWS that counts. */
function world({ livesMs = twelveHours, random = 0 } = {}) {
  const state = {
    now: startOfTests,
    livesMs,
    fault: null as string | null,
    hold: Promise.resolve(),
  }
  const asked: AwsCallOptions[] = []
  const problems: string[] = []
  const fail = () => {
    if (state.fault !== null) throw Object.assign(new Error('no'), { name: state.fault })
  }
  const aws: AwsApi = {
    assumeRoleWithWebIdentity: () => Promise.reject(new Error('not asked for here')),
    assumeRole: (_, { roleArn }) => {
      fail()
      const keys = { accessKeyId: 'k', secretAccessKey: 's', sessionToken: 't' }
      return Promise.resolve({ keys, arn: `${roleArn}/session` })
    },
    callerArn: () => Promise.resolve('arn:caller'),
    async authorizationToken(caller) {
      asked.push(caller)
      const text = `AWS:token-${asked.length}`
      await state.hold
      fail()
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
  return { state, asked, problems, tokens, password }
}

/** Lets what runs behind a caller's back come to its end. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('one call for each identity and region', () => {
  it('however many ask at once', async () => {
    const { asked, password } = world()

    const found = await Promise.all(Array.from({ length: 500 }, () => password()))

    expect(new Set(found)).toEqual(new Set(['token-1']))
    expect(asked).toHaveLength(1)
  })

  it('whatever the number of registries, and one more for another region or another role', async () => {
    const { asked, tokens } = world()
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

    expect(asked.map(({ region }) => region).sort()).toEqual([
      'eu-west-1',
      'us-east-1',
      'us-east-1',
    ])
  })
})

describe('a refresh', () => {
  it('is made once, after half of the life, and behind the back of whoever asks', async () => {
    const { state, asked, password } = world()
    await password()
    state.now += maxRefreshMs - 1
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
    expect(asked).toHaveLength(2)
  })

  it('is waited for by whoever wants the newest', async () => {
    const { state, tokens } = world()
    await tokens.refreshed(settings)
    state.now += maxRefreshMs

    expect((await tokens.refreshed(settings)).token?.password).toBe('token-2')
  })

  it('of a token that says it ended eleven years ago comes no more often than the floor', async () => {
    const { state, asked, tokens } = world({ livesMs: -347_000_000_000, random: 1 })
    const seen: (string | undefined)[] = []
    for (let minute = 0; minute < 60; minute++) {
      seen.push((await tokens.refreshed(settings)).token?.password)
      state.now += 60_000
    }

    expect(asked).toHaveLength(60 / (minRefreshMs / 60_000))
    expect(seen).not.toContain(undefined)
  })
})

describe('a token that does not say when it ends', () => {
  it.each([
    ['says nothing', undefined],
    ['says nonsense', new Date('nonsense')],
  ])(
    'because the answer %s is good, and is fetched again after the floor',
    async (_, expiresAt) => {
      let now = startOfTests
      const tokens = createEcrTokenCache({
        aws: {
          assumeRoleWithWebIdentity: () => Promise.reject(new Error('not asked for here')),
          assumeRole: () => Promise.reject(new Error('not asked for here')),
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
    },
  )
})

describe('when a refresh fails', () => {
  it('the last good token stays until it ends, and nothing else is given out after it', async () => {
    const { state, tokens, password, problems } = world()
    await password()
    state.fault = 'Throttling'
    const found: (string | null)[] = []
    for (const at of [maxRefreshMs, twelveHours - 1, twelveHours]) {
      state.now = startOfTests + at
      const { token } = await tokens.refreshed(settings)
      found.push(token?.password ?? null)
    }

    expect(found).toEqual(['token-1', 'token-1', null])
    expect(problems[0]).toContain('Throttling')
  })

  it('AWS is asked again after pauses that grow, not by every question', async () => {
    const { state, asked, tokens, password } = world()
    state.fault = 'ServiceUnavailable'
    const { chain: _, ...rest } = settings
    const direct = { ...rest, chain: [] }
    for (let second = 0; second < 3600; second++) {
      await password(direct)
      state.now += 1000
    }
    // 10, 20, 40, 80 and 160 seconds; five minutes from then on.
    expect(asked).toHaveLength(6 + Math.floor((3600 - 310) / 300))

    state.fault = null
    state.now += minRefreshMs

    expect((await tokens.current(direct)).failure).toBeNull()
  })

  it('and there is no token, a lookup rejects with the link that broke and no name of the chain, at once during a pause', async () => {
    const { state, tokens, problems } = world()
    state.fault = 'AccessDenied'
    const keychain = createEcrKeychain(settings, tokens)
    const lookup = () => keychain.lookup(registryHost, 'app').catch((error: unknown) => error)
    const wanted = {
      code: 'credentials-invalid',
      message: 'no ECR token for us-east-1: role 1 of the chain: AccessDenied',
    }

    expect([await lookup(), await lookup()]).toEqual([
      expect.objectContaining(wanted),
      expect.objectContaining(wanted),
    ])
    expect(problems).toEqual([
      expect.stringContaining(`→ role ${secondRole}: AccessDenied: no;`) as string,
    ])
  })

  it.each([
    ['no authorizationData', undefined],
    ['an empty token', ''],
    ['a token without a password', Buffer.from('AWS:').toString('base64')],
    ['a token that is no base64', 'AWS:x'],
  ])('an answer with %s is a failure, and nothing is lost by it', async (_, token) => {
    const { tokens, asked } = world()
    await tokens.current(settings)
    const answers = createEcrTokenCache({
      aws: {
        assumeRoleWithWebIdentity: () => Promise.reject(new Error('not asked for here')),
        assumeRole: () => Promise.reject(new Error('not asked for here')),
        callerArn: () => Promise.resolve('arn:caller'),
        authorizationToken: () => Promise.resolve({ token, expiresAt: undefined }),
      },
      env: {},
      secretsDirectory: '/nowhere',
      now: () => startOfTests,
      random: () => 0,
    })

    const { token: got, failure } = await answers.current({ ...settings, chain: [] })

    expect([got, failure?.step, failure?.code]).toEqual([null, 'token', 'EmptyAnswer'])
    expect(asked).toHaveLength(1)
  })
})

describe('the credential', () => {
  it('is the user AWS, and says whose it is', async () => {
    const { tokens } = world()

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
  it('are read anew for each token, so that keys that were renewed are used', async () => {
    const secretsDirectory = mkdtempSync(join(tmpdir(), 'berth-keys-'))
    const used: (string | undefined)[] = []
    let now = startOfTests
    const tokens = createEcrTokenCache({
      aws: {
        assumeRoleWithWebIdentity: () => Promise.reject(new Error('not asked for here')),
        assumeRole: () => Promise.reject(new Error('not asked for here')),
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
      now += maxRefreshMs
      expect(token?.caller).toBe('arn:aws:iam::1:user/u')
    }

    expect(used).toEqual(['first', 'second'])
  })

  it('that are not there are named by their file', async () => {
    const { tokens } = world()
    const { failure } = await tokens.current({
      ...settings,
      identity: { kind: 'staticKeys', secret: 'aws' },
    })

    expect(failure?.message).toBe(
      'ECR token for us-east-1: keys of secret aws: Unusable: /nowhere/aws/AWS_ACCESS_KEY_ID cannot be read (ENOENT); mend the file or Secret that it is read from',
    )
  })
})
