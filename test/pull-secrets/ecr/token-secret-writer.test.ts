import { describe, expect, it } from 'vitest'
import type { TokenSecretObject } from '../../../src/pull-secrets/ecr/token-secret.ts'
import {
  type EcrTokensDependencies,
  keepTokenSecret,
  runEcrTokens,
  type TokenReport,
} from '../../../src/pull-secrets/ecr/token-secret-writer.ts'
import type { AwsApi } from '../../../src/aws/sdk.ts'
import { maxRefreshMs } from '../../../src/aws/ecr-token-refresh.ts'
import type { EcrSettings } from '../../../src/aws/ecr-settings.ts'
import { createEcrTokenCache } from '../../../src/aws/ecr-token-cache.ts'
import { KubeError } from '../../../src/kube/error.ts'
import type { KubeObject, ResourceRef } from '../../../src/kube/object.ts'
import { consentLabel } from '../../../src/pull-secrets/labels.ts'
import { registryHost, settings, startOfTests } from '../../support/ecr.ts'

const twelveHours = 43_200_000
const other = '606639739464.dkr.ecr.us-east-1.amazonaws.com'
const abroad = '818140567777.dkr.ecr.eu-west-1.amazonaws.com'
const direct: EcrSettings = { ...settings, chain: [] }
const entry = { secret: 'ecr-pull', registries: [{ host: registryHost, ecr: direct }] }

/** One Secret in an API server that counts what is written. */
function world() {
  const state = {
    now: startOfTests,
    stored: null as TokenSecretObject | null,
    writes: 0,
    asked: [] as string[],
    /** Regions whose tokens do not come. */
    broken: new Set<string>(),
    /** What an answer says of its end; twelve hours when left out. */
    expiresAt: null as number | null,
    /** Tokens are the same each time. */
    constant: false,
  }
  const aws: AwsApi = {
    assumeRoleWithWebIdentity: () => Promise.reject(new Error('not asked for here')),
    assumeRole: () => Promise.reject(new Error('not asked for here')),
    callerArn: () => Promise.resolve('arn:caller'),
    authorizationToken({ region }) {
      state.asked.push(region)
      if (state.broken.has(region)) {
        return Promise.reject(Object.assign(new Error('no'), { name: 'AccessDeniedException' }))
      }
      const text = state.constant ? 'AWS:constant' : `AWS:${region}-${state.asked.length}`
      const end = state.expiresAt ?? state.now + twelveHours
      return Promise.resolve({
        token: Buffer.from(text).toString('base64'),
        expiresAt: new Date(end),
      })
    },
  }
  const write = (_: ResourceRef, object: object) => {
    const given = object as TokenSecretObject
    const stored = state.stored?.metadata.resourceVersion
    if (stored !== given.metadata.resourceVersion) {
      return Promise.reject(new KubeError(409, 'Conflict', 'the object has been modified'))
    }
    state.writes += 1
    const metadata = { ...given.metadata, resourceVersion: String(state.writes) }
    state.stored = { ...given, metadata }
    return Promise.resolve(state.stored)
  }
  const api = {
    get: () => Promise.resolve(state.stored),
    create: write,
    replace: write,
  } as unknown as EcrTokensDependencies['api']
  const newProcess = (): EcrTokensDependencies => ({
    api,
    namespace: 'berth',
    now: () => state.now,
    tokens: createEcrTokenCache({
      aws,
      env: {},
      secretsDirectory: '/nowhere',
      now: () => state.now,
      random: () => 0,
    }),
  })
  return { state, newProcess, dependencies: newProcess() }
}

function auths(secret: TokenSecretObject | null): Record<string, string> {
  const text = Buffer.from(secret?.data?.['.dockerconfigjson'] ?? '', 'base64').toString()
  const parsed = JSON.parse(text) as { auths: Record<string, { auth: string }> }
  return Object.fromEntries(
    Object.entries(parsed.auths).map(([host, { auth }]) => [
      host,
      Buffer.from(auth, 'base64').toString(),
    ]),
  )
}

describe('a secret of tokens', () => {
  it('is a pull secret with consent to be copied, and says when it ends', async () => {
    const { state, dependencies } = world()

    const report = await keepTokenSecret(dependencies, entry)

    expect(report).toEqual({
      secret: 'ecr-pull',
      uid: undefined,
      outcome: 'written',
      problem: null,
      expiresAt: startOfTests + twelveHours,
      lookAt: startOfTests + 60_000,
    })
    expect(state.stored).toMatchObject({
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/dockerconfigjson',
      metadata: {
        name: 'ecr-pull',
        namespace: 'berth',
        labels: { [consentLabel]: 'allowed', 'app.kubernetes.io/managed-by': 'berth' },
        annotations: {
          'berth.dev/expires-at': '2026-03-01T12:00:00.000Z',
          'berth.dev/refresh-at': '2026-03-01T06:00:00.000Z',
        },
      },
    })
    expect(auths(state.stored)).toEqual({ [registryHost]: 'AWS:us-east-1-1' })
  })

  it('has every host, with one call for each identity and region', async () => {
    const { state, dependencies } = world()
    const registries = [
      { host: registryHost, ecr: direct },
      { host: other, ecr: direct },
      { host: abroad, ecr: { ...direct, region: 'eu-west-1' } },
    ]
    await keepTokenSecret(dependencies, { secret: 'ecr-pull', registries })

    expect(state.asked.sort()).toEqual(['eu-west-1', 'us-east-1'])
    expect(Object.keys(auths(state.stored))).toEqual([other, abroad, registryHost].sort())
  })

  it('is not written again, nor AWS asked, until half of the life of its tokens', async () => {
    const { state, dependencies } = world()
    const outcomes: string[] = []
    for (const at of [0, 60_000, maxRefreshMs - 1, maxRefreshMs, maxRefreshMs + 60_000]) {
      state.now = startOfTests + at
      outcomes.push((await keepTokenSecret(dependencies, entry)).outcome)
    }

    expect(outcomes).toEqual(['written', 'unchanged', 'unchanged', 'written', 'unchanged'])
    expect([state.asked.length, state.writes]).toEqual([2, 2])
  })

  it('is taken over by the next process, which asks AWS only when it is due', async () => {
    const { state, dependencies, newProcess } = world()
    await keepTokenSecret(dependencies, entry)
    state.now += maxRefreshMs - 1
    const before = await keepTokenSecret(newProcess(), entry)
    state.now += 1
    const due = await keepTokenSecret(newProcess(), entry)

    expect([before.outcome, due.outcome, state.asked.length]).toEqual(['unchanged', 'written', 2])
  })

  it('is not written when the token that comes is the one it has', async () => {
    const { state, dependencies } = world()
    state.constant = true
    state.expiresAt = Date.parse('2015-01-01T00:00:00Z')
    const outcomes = new Set<string>()
    for (let minute = 0; minute < 60; minute++) {
      outcomes.add((await keepTokenSecret(dependencies, entry)).outcome)
      state.now += 60_000
    }

    expect([state.writes, state.asked.length]).toEqual([1, 12])
    expect(outcomes).toEqual(new Set(['written', 'unchanged']))
  })

  it.each<[string, (secret: TokenSecretObject) => TokenSecretObject | null]>([
    ['removed', () => null],
    ['given another content', (secret) => ({ ...secret, data: { '.dockerconfigjson': 'e30=' } })],
    [
      'robbed of its consent',
      (secret) => ({
        ...secret,
        metadata: { ...secret.metadata, labels: { 'app.kubernetes.io/managed-by': 'berth' } },
      }),
    ],
  ])('that was %s is put right without asking AWS again', async (_, change) => {
    const { state, dependencies } = world()
    await keepTokenSecret(dependencies, entry)
    const before = auths(state.stored)
    state.stored = change(state.stored as TokenSecretObject)
    await keepTokenSecret(dependencies, entry)

    expect(auths(state.stored)).toEqual(before)
    expect(state.stored?.metadata.labels?.[consentLabel]).toBe('allowed')
    expect(state.asked).toHaveLength(1)
  })

  it('keeps the labels and annotations of others', async () => {
    const { state, dependencies } = world()
    await keepTokenSecret(dependencies, entry)
    const metadata = (state.stored as KubeObject).metadata
    const labels = { ...metadata.labels, team: 'x' }
    state.stored = { ...state.stored, metadata: { ...metadata, labels } }
    state.now += maxRefreshMs
    await keepTokenSecret(dependencies, entry)

    expect(state.stored?.metadata.labels).toEqual(labels)
    expect(state.writes).toBe(2)
  })

  it('is fetched anew when its settings change', async () => {
    const { state, dependencies } = world()
    await keepTokenSecret(dependencies, entry)
    const ecr = { ...direct, sessionName: 'other' }
    await keepTokenSecret(dependencies, { ...entry, registries: [{ host: registryHost, ecr }] })

    expect([state.asked.length, state.writes]).toEqual([2, 2])
  })
})

describe('when a token does not come', () => {
  it('the secret stays as it is, and the report names the link', async () => {
    const { state, dependencies } = world()
    await keepTokenSecret(dependencies, entry)
    const before = state.stored
    state.now += maxRefreshMs
    state.broken.add('us-east-1')
    const report = await keepTokenSecret(dependencies, entry)

    expect(report).toMatchObject({
      outcome: 'failed',
      problem: { link: 'token', message: expect.stringContaining('AccessDenied') as string },
      expiresAt: startOfTests + twelveHours,
      lookAt: state.now + 10_000,
    })
    expect(state.stored).toBe(before)
  })

  it('nor ever came, none is written', async () => {
    const { state, dependencies } = world()
    state.broken.add('us-east-1')

    expect(await keepTokenSecret(dependencies, entry)).toMatchObject({
      outcome: 'failed',
      expiresAt: null,
    })
    expect(state.stored).toBeNull()
  })

  it('for one host, the others are refreshed, and the one keeps what it has, even after a restart', async () => {
    const { state, dependencies, newProcess } = world()
    const registries = [
      { host: registryHost, ecr: direct },
      { host: abroad, ecr: { ...direct, region: 'eu-west-1' } },
    ]
    await keepTokenSecret(dependencies, { secret: 'ecr-pull', registries })
    const before = auths(state.stored)
    state.now += maxRefreshMs
    state.broken.add('eu-west-1')
    const restarted = newProcess()
    const report = await keepTokenSecret(restarted, { secret: 'ecr-pull', registries })
    const after = auths(state.stored)
    state.now += 60_000
    await keepTokenSecret(restarted, { secret: 'ecr-pull', registries })

    expect(after[abroad]).toBe(before[abroad])
    expect(after[registryHost]).not.toBe(before[registryHost])
    expect(report).toMatchObject({ outcome: 'failed', expiresAt: startOfTests + twelveHours })
    expect(state.writes).toBe(2)
  })
})

describe('a secret of this name that is not Berth’s', () => {
  const metadata = { name: 'ecr-pull', namespace: 'berth', resourceVersion: '7' }
  const mine = { ...metadata, labels: { 'app.kubernetes.io/managed-by': 'berth' } }

  it.each<[string, TokenSecretObject, string]>([
    ['somebody else’s', { metadata, type: 'kubernetes.io/dockerconfigjson' }, 'and not Berth’s'],
    ['of another type', { metadata: mine, type: 'Opaque' }, 'is of type Opaque'],
    [
      'immutable',
      { metadata: mine, type: 'kubernetes.io/dockerconfigjson', immutable: true },
      'is immutable',
    ],
  ])('because it is %s is left alone', async (_, secret, want) => {
    const { state, dependencies } = world()
    state.stored = secret
    const report = await keepTokenSecret(dependencies, entry)

    expect(report).toMatchObject({ outcome: 'failed', problem: { link: 'secret' } })
    expect(report.problem?.message.replaceAll("'", '’')).toContain(want)
    expect([state.stored, state.asked]).toEqual([secret, []])
  })
})

describe('the loop', () => {
  it('looks at each secret until it is told to stop, through trouble with the API server', async () => {
    const { state, dependencies } = world()
    const stop = new AbortController()
    const reports: TokenReport[] = []
    const troubles: string[] = []
    const { get } = dependencies.api
    let looks = 0
    const api: EcrTokensDependencies['api'] = {
      ...dependencies.api,
      get: (where) =>
        ++looks === 2 ? Promise.reject(new KubeError(null, '', 'does not answer')) : get(where),
    }
    await runEcrTokens({ ...dependencies, api }, [entry], {
      signal: stop.signal,
      onReport: (report) => reports.push(report),
      onTrouble: (secret, error) => troubles.push(`${secret}: ${(error as Error).message}`),
      waitUntil: (time) => {
        state.now = time
        if (state.now > startOfTests + twelveHours + 60_000) stop.abort()
        return Promise.resolve()
      },
    })

    expect(troubles).toEqual(['ecr-pull: does not answer'])
    expect(reports.filter(({ outcome }) => outcome === 'written')).toHaveLength(state.writes)
    expect(state.writes).toBe(3)
    expect(reports.every(({ outcome }) => outcome !== 'failed')).toBe(true)
  })

  it('stops while it waits', async () => {
    const { dependencies } = world()
    const stop = new AbortController()

    await runEcrTokens(dependencies, [entry], {
      signal: stop.signal,
      onReport: () => stop.abort(),
      onTrouble: (_, error) => {
        throw error
      },
    })

    expect(stop.signal.aborted).toBe(true)
  })
})
